# SPDX-License-Identifier: Apache-2.0
"""A federation of real processes, any of which can be hurt at a named moment."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.kits import Kits
from mmar_runner.testing.processes import RunningCombiner, RunningProgram, free_port
from tests.faults.failpoints import Deed
from tests.faults.watched import PATIENCE, Client, Plan, Server

#: What a process says that must never be seen: frames, in text and in JSON, and bugs. That a
#: traceback lies in some log may be said.
_CRIES = ("Traceback (", '"traceback":', "internal error")


def _own(line: str) -> str:
    """A line without what it quotes: a site may tell the last lines of its trainer's log."""
    if not (line.startswith("{") and line.endswith("}")):  # not an event, or one cut by a death
        return line
    event = json.loads(line)
    event.get("data", {}).pop("log", None)  # a line of the program's own log has no data
    return json.dumps(event)


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
        self.server_options: tuple[str, ...] = ()
        host = "127.0.0.1" if kits is None else "localhost"
        self.listen = f"{host}:{free_port()}"
        self.workspace = folder / "ws"
        self.servers: list[Server] = []
        self.clients: dict[str, list[Client]] = {}
        self.combiners: list[RunningCombiner] = []
        self._combiners: dict[str, str] = {}

    # Who is there

    def serve(self, *deeds: Deed, constants: Mapping[str, Any] | None = None) -> Server:
        """Start the server, again if it was there before."""
        number = len(self.servers)
        log = self.folder / f"server-{number}.passed"
        server = Server(
            self.mmar,
            self.workspace,
            *self._options,
            *self.server_options,
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
        asks: bool = False,
    ) -> Client:
        """Start a client, again if it was there before; one may ask whom it works below."""
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
            asks=asks,
            environment=Plan(deeds, constants or {}).environment(log),
        )
        client.log = log
        self.clients.setdefault(name, []).append(self._stack.enter_context(client))
        return client

    def combine(self, name: str) -> RunningCombiner:
        """Start a combiner, again where it was if it was there before."""
        listen = self._combiners.setdefault(name, f"127.0.0.1:{free_port()}")
        options = ("--durability", "process", "--min-clients", "1")
        combiner = RunningCombiner(
            *(self.mmar, self.listen, name, self.folder / "combiners", *options),
            variables=self.variables,
            listen=listen,
        )
        self.combiners.append(self._stack.enter_context(combiner))
        return combiner

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
            said = "\n".join(map(_own, (program.stdout + program.stderr).splitlines()))
            assert not any(cry in said for cry in _CRIES), said

    def programs(self) -> list[RunningProgram]:
        """Return every process there ever was."""
        clients = (client for started in self.clients.values() for client in started)
        return [*self.servers, *self.combiners, *clients]

    # What was seen

    def observed(self, name: str, topic: Topic, **facts: Any) -> list[dict[str, Any]]:
        """Return what a client observed, in all its processes, in order."""
        found = (client.observations(topic, **facts) for client in self.clients.get(name, ()))
        return [data for each in found for data in each]

    def hashes(self) -> list[str]:
        """Return the digests of the models of the rounds that are finished."""
        return [entry["model_sha256"] for entry in self.server.summary()["rounds"]]
