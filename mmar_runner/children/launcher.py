# SPDX-License-Identifier: Apache-2.0
"""Starts one command several times, for trainers that need nothing else of a launcher.

A *launcher* is a module that is called as ``python -m MODULE PROCESSES FOLDER COMMAND...``. It
starts the command so many times, with ``RANK``, ``LOCAL_RANK`` (from 0) and ``WORLD_SIZE`` in its
environment, and ends with another code than 0 as soon as one of them does, having ended the
others. ``FOLDER`` is empty, and the launcher's and its processes' alone while they live. A plugin
whose trainer talks between its processes brings a launcher of its own, such as torchrun.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait


def launch(processes: int, command: Sequence[str]) -> int:
    """Run a command so many times at once and return 0, or 1 as soon as one of them fails.

    Args:
        processes: How many.
        command: What is run.
    """
    started = [
        subprocess.Popen(command, env=_environment(rank, processes), start_new_session=True)
        for rank in range(processes)
    ]
    with ThreadPoolExecutor(processes) as watchers:
        ends = [watchers.submit(_wait, rank, one) for rank, one in enumerate(started)]
        done, _ = wait(ends, return_when=FIRST_EXCEPTION)
        for one in started:
            one.kill()
    return int(any(end.exception() for end in done))


def _environment(rank: int, processes: int) -> dict[str, str]:
    return {
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
    }


def _wait(rank: int, process: subprocess.Popen[bytes]) -> None:
    """Wait for a process's end.

    Raises:
        CalledProcessError: It failed.
    """
    if code := process.wait():
        sys.stderr.write(f"rank {rank} ended with code {code}\n")
        raise subprocess.CalledProcessError(code, process.args)


if __name__ == "__main__":
    sys.exit(launch(int(sys.argv[1]), sys.argv[3:]))
