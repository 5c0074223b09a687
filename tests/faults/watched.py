# SPDX-License-Identifier: Apache-2.0
"""A server and a client that have failpoints, and waiting for what they do."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.processes import RunningClient, RunningProgram, RunningServer
from tests.faults.failpoints import Deed

PROGRAM = Path(__file__).with_name("program.py")
_POLL_SECONDS = 0.02
#: How long anything may take until it has failed, in seconds; a busy machine is slow.
PATIENCE = float(os.environ.get("MMAR_FAULT_PATIENCE", "90"))

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen to one process, and which constants are others for it."""

    deeds: tuple[Deed, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)

    def environment(self, log: Path) -> dict[str, str]:
        """Return the environment of a process that follows the plan."""
        told = {"deeds": [asdict(deed) for deed in self.deeds], "constants": dict(self.constants)}
        plan = {"MMAR_FAULT_PLAN": json.dumps(told), "MMAR_FAULT_LOG": str(log)}
        return {**os.environ, **plan}


def until(holds: Callable[[], _T], what: str, *, timeout: float = PATIENCE) -> _T:
    """Wait until something holds, and return it.

    Raises:
        AssertionError: It did not in time.
    """
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        pause.wait(_POLL_SECONDS)
    return found


class _Watched:
    """Mixed into a running program: its passings, and what it may never say."""

    program: ClassVar[tuple[str, ...]] = (str(PROGRAM),)
    log: Path
    process: Any

    def passings(self, point: str) -> list[str]:
        """Return what happened at the passings of a failpoint so far."""
        text = self.log.read_text() if self.log.exists() else ""
        words = (line.split() for line in text.splitlines())
        return [found[2] for found in words if len(found) == 3 and found[0] == point]

    def passed(self) -> set[str]:
        """Return the names of all failpoints that were passed."""
        return {line.split()[0] for line in self.log.read_text().splitlines()}

    def done(self) -> list[str]:
        """Return the failpoints at which something was done."""
        lines = (line.split() for line in self.log.read_text().splitlines())
        return [name for name, _, action in lines if action != "-"]

    def is_stopped(self) -> bool:
        """Whether it stands still (SIGSTOP)."""
        try:
            stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        except FileNotFoundError:
            return False
        return stat.rpartition(")")[2].split()[0] == "T"

    def go_on(self) -> None:
        """Send SIGCONT."""
        self.process.send_signal(signal.SIGCONT)


class Server(_Watched, RunningServer):
    """``run-server`` with failpoints."""


class Client(_Watched, RunningClient):
    """``run-client`` with failpoints.

    Attributes:
        gone: It has left for good: nobody waits for its end.
    """

    gone = False


def said_at(program: RunningProgram, topic: Topic, **facts: Any) -> list[float]:
    """Return when a program observed something, in seconds since 1970."""
    lines = (json.loads(line) for line in program.stdout.splitlines() if line.endswith("}"))
    return [
        datetime.fromisoformat(line["time"]).timestamp()
        for line in lines
        if line.get("topic") == topic and facts.items() <= line.get("data", {}).items()
    ]
