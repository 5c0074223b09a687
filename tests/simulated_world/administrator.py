# SPDX-License-Identifier: Apache-2.0
"""Who administers a simulated run: at random times, and whatever it is at.

An administrator changes how many updates a round needs, removes clients, gives tasks again,
and starts a client anew that was removed: with a session of another key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import MmarRunnerError, OrderError, RefusedError

if TYPE_CHECKING:
    from mmar_runner.server.parts import RunParts
    from tests.simulated_world.hosts import ClientHost, ServerHost
    from tests.simulated_world.process import Process
    from tests.simulated_world.world import World

#: How long a client stays away that was removed, at most, in seconds.
_AWAY = 20.0


class Administrator:
    """Takes decisions at the server's machine.

    Args:
        world: Where it lives.
        server: Its machine.
        clients: Theirs.

    Attributes:
        refused: The reasons of what could not be done.
    """

    def __init__(self, world: World, server: ServerHost, clients: list[ClientHost]) -> None:
        self.world, self.server, self.clients = world, server, clients
        self.refused: list[str] = []
        self._removing: list[asyncio.Task[None]] = []

    def change_the_minimum(self) -> None:
        """Have rounds need another number of updates; it may be one that is refused."""
        number = self.world.rng.choice([0, *range(1, len(self.clients) + 1), 1000])
        self._at_the_server(
            f"needs {number} updates", lambda run: run.coordinator.set_min_clients(number)
        )

    def give_a_task_again(self) -> None:
        """Give somebody its task again."""
        name = self.world.rng.choice(self.clients).name
        self._at_the_server(
            f"gives {name} its task again", lambda run: run.coordinator.give_again(name)
        )

    def remove_somebody(self) -> None:
        """Remove a client; some time later it is started anew."""
        client = self.world.rng.choice(self.clients)

        def remove(run: RunParts) -> None:
            task = asyncio.get_running_loop().create_task(self._remove(run, client.name))
            self._removing.append(task)

        self._at_the_server(f"removes {client.name}", remove)

    async def _remove(self, run: RunParts, name: str) -> None:
        try:
            said = await run.members.remove(name, "as administrators do")
            self.world.note("admin", said)
        except OrderError as error:
            self._refuse(error)
        except MmarRunnerError as error:  # the disk is full, and the run is stopped
            self.world.note("admin", f"{name} may not be removed: {error.reason}")

    def _at_the_server(self, what: str, decide: Callable[[RunParts], None]) -> None:
        process = self.server.process
        if process is not None and process.parts is not None:
            process.loop.call_soon(self._decide, process, what, decide)

    def _decide(self, process: Process, what: str, decide: Callable[[Any], None]) -> None:
        self.world.note("admin", what)
        try:
            decide(process.parts)
        except OrderError as error:
            self._refuse(error)

    def _refuse(self, error: OrderError) -> None:
        self.refused.append(error.reason)
        self.world.note("admin", f"is refused: {error.reason}")


def start_anew(host: ClientHost, process: Process) -> None:
    """Give a client another session's key if its own was removed, some time later."""
    error = process.error
    if isinstance(error, RefusedError) and error.reason == "CLIENT_REMOVED":
        key = host.settings.workspace / "session.key"
        host.world.later(host.world.rng.uniform(0, _AWAY), lambda: _forget(host, key))


def _forget(host: ClientHost, key: Any) -> None:
    if host.process is None:
        host.world.note(host.name, "is given another session")
        host.disk.change(str(key))
        key.unlink(missing_ok=True)
