# SPDX-License-Identifier: Apache-2.0
"""Where a run is served: its workspace, who stands at its door, and the door itself.

A server that is started for one run has a place of its own. One that stands and runs one
after the other lends every run the same place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from mmar_runner.security.audit.log import held_open
from mmar_runner.server.gate.guard import make_guard
from mmar_runner.server.opening import open_run
from mmar_runner.server.trimming import trimming
from mmar_runner.wire.binding import bind
from mmar_runner.wire.health import Health
from mmar_runner.wire.methods import FEDERATED_TRAINING
from mmar_runner.wire.server import build_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from typing import Any

    from mmar_runner.server.gate.guard import Guard
    from mmar_runner.server.opening import OpenedRun, Wanted
    from mmar_runner.server.parts import RunParts
    from mmar_runner.server.records.workspace import Workspace
    from mmar_runner.server.settings import ServerSettings


class Place(ABC):
    """Where one run is served.

    Attributes:
        health: Tells who looks after the server whether clients can work in the run.
    """

    health: Health

    @abstractmethod
    def open_run(self, settings: ServerSettings, wanted: Wanted) -> Coroutine[Any, Any, OpenedRun]:
        """Return the run that is to be served; see `mmar_runner.server.opening`."""

    @abstractmethod
    def guarded(self) -> AbstractContextManager[Guard]:
        """Give whoever stands between the network and the run."""

    @abstractmethod
    def door(self, parts: RunParts) -> AbstractAsyncContextManager[str]:
        """Let clients in to a run for as long as the block lasts, and say where they come in."""


class OwnPlace(Place):
    """The place of a server that is started for one run.

    Args:
        settings: Of the server.
        workspace: Locked by this process.
        max_connections: More are closed as they come.
    """

    def __init__(
        self, settings: ServerSettings, workspace: Workspace, max_connections: int
    ) -> None:
        self._settings = settings
        self._workspace = workspace
        self._max_connections = max_connections
        self.health = Health(FEDERATED_TRAINING)

    def open_run(self, settings: ServerSettings, wanted: Wanted) -> Coroutine[Any, Any, OpenedRun]:
        """Return the last run if it is to go on, or the next."""
        return open_run(settings, self._workspace, wanted)

    @contextmanager
    def guarded(self) -> Iterator[Guard]:
        """Give a guard of its own, and hold the workspace's audit log open."""
        with held_open(self._workspace.path / "audit.jsonl") as audit:
            yield make_guard(self._settings, audit)

    @asynccontextmanager
    async def door(self, parts: RunParts) -> AsyncIterator[str]:
        """Listen where the settings say."""
        server = build_server(
            parts.servicer,
            parts.guard.gate,
            discovery=parts.discovery,
            health=self.health,
            max_connections=self._max_connections,
            listen=self._settings.listen,
        )
        try:
            address = bind(server, self._settings.listen, credentials=parts.guard.credentials)
            await server.start()
            published = self._workspace.endpoint(address, metrics=self._settings.metrics)
            with trimming(), published:
                yield address
        finally:
            self.health.close()
            await server.stop(0)
