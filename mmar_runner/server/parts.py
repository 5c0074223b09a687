# SPDX-License-Identifier: Apache-2.0
"""The parts of one run, and what is done with all of them: begun, given up, taken apart."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.federation.run_status import RunStatus, run_end
from mmar_runner.server.members.rounds_below import RoundsBelow

if TYPE_CHECKING:
    from mmar_runner.server.calls.discovery import Discovery
    from mmar_runner.server.calls.downloads import Downloads
    from mmar_runner.server.calls.packages import PackageDesk
    from mmar_runner.server.calls.reception import Reception
    from mmar_runner.server.calls.servicer import Servicer
    from mmar_runner.server.components.results import ResultDesk
    from mmar_runner.server.components.validator import ServerValidator
    from mmar_runner.server.cross_site.best_models import BestModels
    from mmar_runner.server.gate.guard import Guard
    from mmar_runner.server.members.controller import Controller
    from mmar_runner.server.members.members import Members
    from mmar_runner.server.members.watch import Watch
    from mmar_runner.server.opening import OpenedRun
    from mmar_runner.server.records.summary import Summary
    from mmar_runner.server.rounds.combining import Combines
    from mmar_runner.server.rounds.coordinator import Coordinator
    from mmar_runner.server.status.board import Board
    from mmar_runner.server.telling.events import EventDispatcher
    from mmar_runner.server.telling.space import DiskWait
    from mmar_runner.server.upstream import Upstream
    from mmar_runner.storage.spool import Spool


@dataclass(frozen=True, slots=True)
class RunParts:
    """The parts of one run; see their classes. ``started_at`` is on the loop's clock."""

    opened: OpenedRun
    started_at: float
    summary: Summary
    events: EventDispatcher
    results: ResultDesk
    validator: ServerValidator | None
    spool: Spool
    coordinator: Coordinator
    disk: DiskWait
    board: Board
    members: Members
    downloads: Downloads
    reception: Reception
    best_models: BestModels
    servicer: Servicer
    guard: Guard
    watch: Watch
    packages: PackageDesk | None
    discovery: Discovery
    controller: Controller | None = None
    max_staleness: int = 0
    combining: Combines | None = None
    upstream: Upstream | None = None

    def begin(self) -> None:
        """Take back what an earlier process left, and begin."""
        state = self.opened.record.state
        wanted = self._rounds_to_keep(state.round)
        self.spool.keep_only(wanted)
        for name in sorted(state.out() - state.accepted.keys()):
            for number in wanted:
                self.spool.discard(number, name)  # it was killed before it could
        self.members.restore(state.clients.values())
        self.members.start_sweeping()
        self.watch.begin()
        self.coordinator.begin()
        if self.upstream is not None:
            self.upstream.attach(RoundsBelow(self.coordinator, self.members))
        if self.controller is not None:
            self.controller.begin()

    def conclude(self) -> None:
        """Take back that an earlier process ended the run, and who may not know of it."""
        state = self.opened.record.state
        # A run that has failed may be taken up again, with what was accepted in its last round.
        failed = state.status is RunStatus.FAILED
        self.spool.keep_only(self._rounds_to_keep(state.round) if failed else [])
        self.coordinator.conclude(run_end(state.status), state.reason)
        self.members.restore(state.clients.values())
        self.members.start_sweeping()
        self.watch.begin()

    def _rounds_to_keep(self, newest: int) -> range:
        """Return of which rounds updates may count in the newest."""
        return range(max(0, newest - self.max_staleness), newest + 1)

    def give_up(self) -> None:
        """Wait for nothing that may last: what is not on record is done again on resuming."""
        self.opened.journal.hurry()
        self.disk.give_up()
        self.events.give_up()
        self.results.give_up()
        self.coordinator.give_up()

    def wall_seconds(self) -> float:
        """Return how long the run has been worked on, by every process that did."""
        return round(asyncio.get_running_loop().time() - self.started_at, 6)

    async def close_components(self) -> None:
        """Wait until handlers, hooks and result processors have returned from their last work."""
        await asyncio.gather(self.events.close(), self.results.close())

    async def close(self) -> None:
        """End everything that has a thread, a timer or a child."""
        self.coordinator.stop("the server has ended")  # nothing, unless it broke off
        self.watch.close()
        self.members.close()
        if self.packages is not None:
            await self.packages.close()
        await self.reception.close()
        await self.best_models.close()
        self.spool.close()
        self.opened.models.close()
        if self.validator is not None:
            await self.validator.close()
        if self.combining is not None:
            await self.combining.close()
        await self.close_components()
