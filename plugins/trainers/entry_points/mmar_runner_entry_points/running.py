# SPDX-License-Identifier: Apache-2.0
"""Runs one command to its end, or to its limit, and leaves nothing of it running."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import TaskFailedError, TaskTimeoutError
from mmar_runner_entry_points.output import BoundedOutput
from mmar_runner_entry_points.supervisor import NOT_STARTED

if TYPE_CHECKING:
    from mmar_runner.interfaces.entry_points import EntryPoint

_READ_BYTES: Final = 1 << 16
#: What is still read of a command that has ended: as much as a pipe holds, several times.
_DRAINED: Final = 16
_SUPERVISOR: Final = "mmar_runner_entry_points.supervisor"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a command runs.

    Attributes:
        package: The folder that it works in.
        env: Its whole environment.
        log_bytes: How much of what it prints is kept.
        log: The descriptor that gets it.
    """

    package: Path
    env: Mapping[str, str]
    log_bytes: int
    log: int = 2


def run(entry: EntryPoint, arguments: Sequence[str], place: Surroundings) -> None:
    """Run an entry point's command; when this returns, nothing of its process group lives.

    Args:
        entry: The entry point.
        arguments: What is added to its command.
        place: Where it runs.

    Raises:
        TaskFailedError: It cannot be started, did not end in time (TASK_TIMEOUT), failed, or
            was killed.
    """
    argv = [*entry.command, *arguments]
    _require_program(entry, place)
    output = BoundedOutput(place.log_bytes, place.log)
    with _started(argv, entry.memory_bytes, place) as (process, printed):
        in_time = _watch(process, printed, output, time.monotonic() + entry.seconds)
        _kill_group(process.pid)
        code = process.wait()
        _drain(printed, output)
    output.finish()
    if not in_time:
        raise _outran(entry)
    if code:
        raise _failed(entry, code, output.last_line)


def _require_program(entry: EntryPoint, place: Surroundings) -> None:
    program = entry.command[0]
    if shutil.which(place.package / program if "/" in program else program, path=_path(place)):
        return
    message = f"the program {program!r} of the entry point {entry.name} cannot be run here"
    file = place.package / program
    if "/" in program and file.is_file():
        hint = f"the package's files are no programs: name what runs it, such as sh {program}"
        raise TaskFailedError(f"{message}: the file is not executable", hint=hint)
    hint = "install it at this site, or correct the command"
    raise TaskFailedError(f"{message}: there is none", hint=hint)


def _path(place: Surroundings) -> str:
    return place.env.get("PATH", os.defpath)


@contextmanager
def _started(
    argv: Sequence[str], memory: int | None, place: Surroundings
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a supervisor with a command; yield it, and the descriptor of what they print."""
    lifeline, far = socket.socketpair()
    printed, prints = os.pipe2(os.O_CLOEXEC)
    request = {"argv": list(argv), "cwd": str(place.package), "env": dict(place.env)}
    with lifeline, os.fdopen(printed, "rb", buffering=0):
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", _SUPERVISOR, str(far.fileno())],
                stdin=subprocess.PIPE,
                stdout=prints,
                stderr=prints,
                pass_fds=(far.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            raise TaskFailedError(f"no process can be started: {error}") from error
        finally:
            far.close()
            os.close(prints)
        try:
            _ask(process, {**request, "memory_bytes": memory})
            yield process, printed
        finally:
            if process.returncode is None:
                _kill_group(process.pid)
                process.wait()


def _ask(process: subprocess.Popen[bytes], request: Mapping[str, object]) -> None:
    assert process.stdin is not None  # noqa: S101 - it was asked for
    with suppress(BrokenPipeError), process.stdin as stdin:
        stdin.write(json.dumps(request).encode())


def _watch(
    process: subprocess.Popen[bytes], printed: int, output: BoundedOutput, deadline: float
) -> bool:
    """Take what is printed until the process ends; return False if it did not in time."""
    ended = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(ended, selectors.EVENT_READ)
            selector.register(printed, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                ready = {key.fd for key, _ in selector.select(left)}
                if printed in ready:
                    data = os.read(printed, _READ_BYTES)
                    output.take(data)
                    if not data:
                        selector.unregister(printed)
                if ended in ready:
                    return True
            return False
    finally:
        os.close(ended)


def _kill_group(group: int) -> None:
    """End the command's process group; its leader was not waited for yet, so that it is there."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _drain(printed: int, output: BoundedOutput) -> None:
    """Take what lies in the pipe; a process that left its group may hold it open for ever."""
    os.set_blocking(printed, False)
    with suppress(BlockingIOError):
        for _ in range(_DRAINED):
            if not (data := os.read(printed, _READ_BYTES)):
                return
            output.take(data)


def _outran(entry: EntryPoint) -> TaskFailedError:
    message = (
        f"the entry point {entry.name} did not end within {entry.seconds:g} seconds; its "
        "processes were killed"
    )
    hint = f'give it more "seconds", or look in the log for what it waits for ({entry.name})'
    reason = TaskTimeoutError.default_reason
    return TaskFailedError(message, hint=hint, reason=reason, details=message)


def _failed(entry: EntryPoint, code: int, last_line: str) -> TaskFailedError:
    said = f": {last_line}" if last_line else ", and printed nothing"
    message = f"the entry point {entry.name} {_how(code)}{said}"
    hint = "its output is in the log; mend the command, or what it needs at this site"
    if code == -signal.SIGKILL:
        hint = 'give it more "memory_bytes", or the machine more memory; its output is in the log'
    return TaskFailedError(message, hint=hint, details=message)


def _how(code: int) -> str:
    if code == NOT_STARTED:
        return f"could not be started, or ended with exit code {code}"
    if code > 0:
        return f"ended with exit code {code}"
    known = -code in set(signal.Signals)
    name = signal.Signals(-code).name if known else f"signal {-code}"
    guess = " (memory may have run out)" if code == -signal.SIGKILL else ""
    return f"was ended by {name}{guess}"
