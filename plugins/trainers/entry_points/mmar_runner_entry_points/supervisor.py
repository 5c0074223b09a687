# SPDX-License-Identifier: Apache-2.0
"""Starts one command and ends as it ends: ``python -m mmar_runner_entry_points.supervisor FD``.

It leads a process group that is tied to the component's process by a socket, the lifeline. The
command runs in that group and does not have the socket: whatever it closes, and whatever it
starts, is killed when the component's process ends. What to start comes as JSON on its standard
input: ``argv``, ``cwd``, ``env`` and ``memory_bytes``.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from typing import Any, Final

from mmar_runner.children.lifeline import hold

#: The exit code that says that the command could not be started, as a shell's.
NOT_STARTED: Final = 127


def main(lifeline_fd: int) -> int:
    """Start the command and wait for it.

    Args:
        lifeline_fd: The inherited socket whose end is this process group's end.

    Returns:
        The command's exit code; where a signal ended it, this process ends by the same.
    """
    hold(lifeline_fd)
    # A memory image may hold what must not be kept.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    request = json.load(sys.stdin)
    try:
        process = _start(request)
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"{request['argv'][0]} cannot be started: {error}\n")
        return NOT_STARTED
    code = process.wait()
    if code < 0:
        _end_by(-code)
    return code


def _start(request: dict[str, Any]) -> subprocess.Popen[bytes]:
    limit: int | None = request["memory_bytes"]
    return subprocess.Popen(
        request["argv"],
        cwd=request["cwd"],
        env=request["env"],
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: _limit_memory(limit),  # noqa: PLW1509 - this process has one thread
    )


def _limit_memory(limit: int | None) -> None:
    """Lower the limit of address space; one that holds already stays if it is smaller."""
    if limit is None:
        return
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    least = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_AS, (least, least))


def _end_by(number: int) -> None:
    if number not in {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
