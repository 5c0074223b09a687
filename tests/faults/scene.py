# SPDX-License-Identifier: Apache-2.0
"""A federation of real processes, any of which can be hurt at a named moment."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.kits import Kits
from mmar_runner.testing.processes import RunningClient, RunningProgram, RunningServer, free_port
from tests.faults.failpoints import Deed

PROGRAM = Path(__file__).with_name("program.py")
#: What a process says that must never be seen.
_CRIES = ("Traceback", "traceback", "internal error")
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


class Scene:
    """A server and clients, all of which can be killed, stopped and started again.

    Args:
        folder: For everything.
        mmar: What is run.
        stack: Ends every process that is left.
        variables: ``--set`` values of everybody.
        kits: Start-up kits; None speaks plain text.
        durability: Of the server.
    """

    def __init__(
        self,
        folder: Path,
        mmar: Path,
        stack: ExitStack,
        *,
        variables: Mapping[str, Any],
        kits: Kits | None = None,
        durability: str = "process",
    ) -> None:
        self.folder = folder
        self.mmar = mmar
        self.kits = kits
        self.variables = dict(variables)
        self._stack = stack
        self._options = ("--durability", durability)
        self.client_options: tuple[str, ...] = ()
        host = "127.0.0.1" if kits is None else "localhost"
        self.listen = f"{host}:{free_port()}"
        self.workspace = folder / "ws"
        self.servers: list[Server] = []
        self.clients: dict[str, list[Client]] = {}

    # Who is there

    def serve(self, *deeds: Deed, constants: Mapping[str, Any] | None = None) -> Server:
        """Start the server, again if it was there before."""
        number = len(self.servers)
        log = self.folder / f"server-{number}.passed"
        server = Server(
            self.mmar,
            self.workspace,
            *self._options,
            variables=self.variables,
            listen=self.listen,
            kit=None if self.kits is None else self.kits.server,
            label=f"server-{number}",
            environment=Plan(deeds, constants or {}).environment(log),
        )
        server.log = log
        self.servers.append(self._stack.enter_context(server))
        return server

    def join(
        self,
        name: str,
        *deeds: Deed,
        address: str = "",
        options: Iterable[str] = (),
        variables: Mapping[str, Any] | None = None,
        constants: Mapping[str, Any] | None = None,
    ) -> Client:
        """Start a client, again if it was there before."""
        log = self.folder / f"{name}-{len(self.clients.get(name, ()))}.passed"
        client = Client(
            self.mmar,
            address or self.listen,
            name,
            self.folder / "clients",
            *self.client_options,
            *options,
            variables={**self.variables, **(variables or {})},
            kit=None if self.kits is None else self.kits.client(name),
            environment=Plan(deeds, constants or {}).environment(log),
        )
        client.log = log
        self.clients.setdefault(name, []).append(self._stack.enter_context(client))
        return client

    @property
    def server(self) -> Server:
        """The server that was started last."""
        return self.servers[-1]

    def client(self, name: str) -> Client:
        """The client of that name that was started last."""
        return self.clients[name][-1]

    # What happens

    def killed(self, program: RunningProgram, *, timeout: float = PATIENCE) -> None:
        """Wait until a process has been killed, as its plan says.

        Raises:
            AssertionError: It ended otherwise, or not at all.
        """
        code = program.wait(timeout=timeout)
        assert code == -signal.SIGKILL, f"exit code {code}\n{program.stdout}\n{program.stderr}"

    def finish(self, *, timeout: float = PATIENCE) -> None:
        """Wait until the run is finished, for the server and for the latest of each client.

        Raises:
            AssertionError: It does not finish, or somebody cried.
        """
        code = self.server.wait(timeout=timeout)
        assert code == 0, f"server: exit code {code}\n{self.server.stdout}\n{self.server.stderr}"
        for name, started in self.clients.items():
            if not started[-1].gone:
                code = started[-1].wait(timeout=timeout)
                assert code == 0, f"{name}: exit code {code}\n{started[-1].stderr}"
        self.nobody_cried()

    def nobody_cried(self) -> None:
        """Look at what all processes ever said.

        Raises:
            AssertionError: A traceback or an internal error is among it.
        """
        for program in self.programs():
            said = program.stdout + program.stderr
            assert not any(cry in said for cry in _CRIES), said

    def programs(self) -> list[Server | Client]:
        """Return every process there ever was."""
        return [*self.servers, *(client for started in self.clients.values() for client in started)]

    # What was seen

    def observed(self, name: str, topic: Topic, **facts: Any) -> list[dict[str, Any]]:
        """Return what a client observed, in all its processes, in order."""
        found = (client.observations(topic, **facts) for client in self.clients.get(name, ()))
        return [data for each in found for data in each]

    def hashes(self) -> list[str]:
        """Return the digests of the models of the rounds that are finished."""
        return [entry["model_sha256"] for entry in self.server.summary()["rounds"]]


def said_at(program: RunningProgram, topic: Topic, **facts: Any) -> list[float]:
    """Return when a program observed something, in seconds since 1970."""
    lines = (json.loads(line) for line in program.stdout.splitlines() if line.endswith("}"))
    return [
        datetime.fromisoformat(line["time"]).timestamp()
        for line in lines
        if line.get("topic") == topic and facts.items() <= line.get("data", {}).items()
    ]
