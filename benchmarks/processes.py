# SPDX-License-Identifier: Apache-2.0
"""Processes that are started, watched and always ended; peak memory as the kernel counts it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

_POLL_SECONDS: Final = 0.01
_START_SECONDS: Final = 60.0


class ProcessFailedError(Exception):
    """A process of a benchmark ended with an error."""


class Process:
    """A child in a process group of its own, which ends with it.

    Args:
        command: Program and arguments.
        log: Where its standard error goes; None keeps it in memory.
        environment: Variables added to this process's own.
    """

    def __init__(
        self,
        command: list[str],
        *,
        log: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.command = command
        self._log = None if log is None else log.open("wb")
        self._popen = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if self._log is None else self._log,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
        self.pid = self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._popen.poll() is None

    def wait(self, *, timeout: float) -> str:
        """Wait for its end and return its standard output.

        Raises:
            ProcessFailedError: It failed or outran its time; it is gone in any case.
        """
        try:
            out, err = self._popen.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise ProcessFailedError(f"{self.command} took longer than {timeout} s") from error
        finally:
            if self._log is not None:
                self._log.close()
        if self._popen.returncode:
            said = (err or b"") if self._log is None else Path(self._log.name).read_bytes()
            tail = said.decode(errors="replace")[-2000:]
            raise ProcessFailedError(f"{self.command} ended with {self._popen.returncode}\n{tail}")
        return out.decode()

    def kill(self) -> None:
        """End it and whatever it started, now."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.communicate()


def wait_for_file(path: Path, owner: Process) -> str:
    """Wait until a process has written a file and return its text.

    Raises:
        ProcessFailedError: The process ended first, or a minute passed.
    """
    deadline = time.monotonic() + _START_SECONDS
    while not path.exists():
        if not owner.alive:
            owner.wait(timeout=1)
        if not owner.alive or time.monotonic() > deadline:
            raise ProcessFailedError(f"{owner.command} did not write {path}")
        time.sleep(_POLL_SECONDS)
    return path.read_text()


def peak_rss_bytes(pid: int | None = None) -> int:
    """Return a process's peak resident memory in bytes; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid or 'self'}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def descendants(pid: int) -> list[int]:
    """Return a process's children, their children and so on."""
    found: list[int] = []
    queue = [pid]
    while queue:
        parent = queue.pop()
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                children = [int(word) for word in (task / "children").read_text().split()]
                found += children
                queue += children
    return found
