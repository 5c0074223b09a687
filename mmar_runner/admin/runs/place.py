# SPDX-License-Identifier: Apache-2.0
"""The place that a standing server lends to every run: one port, one gate, one audit log."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.server.opening import open_numbered
from mmar_runner.server.place import Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from typing import Any

    from mmar_runner.admin.clients.current_run import CurrentRun
    from mmar_runner.admin.clients.packages import CurrentPackage
    from mmar_runner.server.gate.guard import Guard
    from mmar_runner.server.opening import OpenedRun, Wanted
    from mmar_runner.server.parts import RunParts
    from mmar_runner.server.records.workspace import RunFolder
    from mmar_runner.server.settings import ServerSettings
    from mmar_runner.wire.health import Health


@dataclass(frozen=True, slots=True)
class StandingPlace(Place):
    """The place of one run of a standing server.

    Attributes:
        folder: Of the run.
        guard: Of the server's port; who may have which name is the run's own.
        current: What clients see.
        package: What those are told that hold nothing but a kit.
        address: Where they come in.
        health: Of the server, which is asked between runs too.
        joinable: Hears the run's parts as soon as clients can join.
    """

    folder: RunFolder
    guard: Guard
    current: CurrentRun
    package: CurrentPackage
    address: str
    health: Health
    joinable: Callable[[RunParts], None]

    def open_run(self, settings: ServerSettings, wanted: Wanted) -> Coroutine[Any, Any, OpenedRun]:
        """Go on with the folder's run, or begin it."""
        return open_numbered(settings, self.folder, wanted)

    @contextmanager
    def guarded(self) -> Iterator[Guard]:
        """Give the server's guard, which outlives the run."""
        yield self.guard

    @asynccontextmanager
    async def door(self, parts: RunParts) -> AsyncIterator[str]:
        """Let clients in at the server's port."""
        async with self.current.serving(parts.servicer):
            with self.package.assigning(parts.discovery):
                self.joinable(parts)
                yield self.address
