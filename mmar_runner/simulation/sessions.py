# SPDX-License-Identifier: Apache-2.0
"""All sessions of a simulation, beside its server."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mmar_runner.client.session import run_session
from mmar_runner.simulation.arrivals import Arrivals
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.memory import settle_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.simulation.failed_tasks import FailedTasks
    from mmar_runner.simulation.pool import TrainerPool
    from mmar_runner.simulation.server_child import ServerChild, ServerEnd


class Sessions:
    """The sessions, as tasks of this process.

    Args:
        names: The clients.
        settings_of: Gives what a client's session is started with.
        plugins: The plugins in force.
        pool: Where trainers live.
        failed: Sees what sessions say of tasks that failed.
        models: The folder of the models that are in use; it is there while sessions are.
    """

    def __init__(
        self,
        names: list[str],
        settings_of: Callable[[str], SessionSettings],
        plugins: LoadedPlugins,
        pool: TrainerPool,
        failed: FailedTasks,
        *,
        models: Path,
    ) -> None:
        # Thousands of sessions stay to the end: no later collection needs to look at them.
        self._arrivals = Arrivals(len(names), settle_memory)
        self._names = names
        self._settings_of = settings_of
        self._plugins = plugins
        self._pool = pool
        self._failed = failed
        self._models = models
        self._stop = asyncio.Event()

    async def beside(self, server: ServerChild, stop: asyncio.Event) -> ServerEnd:
        """Run until the server has ended; stop it if told so, or if a session fails."""
        stopping = asyncio.create_task(stop.wait())
        ending = asyncio.create_task(server.ended())
        sessions = asyncio.create_task(self._run(server))
        try:
            waiting = {stopping, ending, sessions}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done() and sessions.done() and sessions.exception() is None:
                # All have been told that the run is over; the server settles its files.
                await asyncio.wait({stopping, ending}, return_when=asyncio.FIRST_COMPLETED)
            server.stop()
            if sessions.done() and sessions.exception() is not None:
                await sessions
            return await ending
        finally:
            self._stop.set()
            stopping.cancel()
            ending.cancel()
            await asyncio.gather(stopping, ending, sessions, return_exceptions=True)

    async def _run(self, server: ServerChild) -> None:
        if await server.listens():  # it holds the workspace: nobody else works in it
            with _made(self._models):
                await self._all()

    async def _all(self) -> None:
        tasks = [asyncio.create_task(self._session(name)) for name in self._names]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            self._stop.set()  # if one cannot go on, the others leave
            await asyncio.wait(tasks)
        # The first failure is raised; the others, of the same cause as a rule, are let go.
        await asyncio.gather(*tasks)

    async def _session(self, name: str) -> None:
        async with self._arrivals.turn(self._failed.of(name)) as observer:
            settings = self._settings_of(name)
            await run_session(settings, self._plugins, observer, self._stop, children=self._pool)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Have a folder for a while; what somebody left there who was killed goes with it."""
    with translated(folder):
        folder.mkdir(exist_ok=True)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
