# SPDX-License-Identifier: Apache-2.0
"""One run of a standing server, from the order to begin it to its end."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mmar_runner.admin.runs.contributions import Contributions
from mmar_runner.admin.runs.place import StandingPlace
from mmar_runner.errors import MmarRunnerError, RunStoppedError
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.server.ending import StopEvent
from mmar_runner.server.gate.names import CertifiedNames
from mmar_runner.server.records.replay import closed_rounds
from mmar_runner.server.run import serve_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.admin.clients.current_run import CurrentRun
    from mmar_runner.admin.clients.packages import CurrentPackage
    from mmar_runner.admin.runs.taking_in import TakenIn
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.gate.guard import Guard
    from mmar_runner.server.parts import RunParts
    from mmar_runner.server.records.workspace import RunFolder, Workspace
    from mmar_runner.server.settings import ServerSettings
    from mmar_runner.server.settling import RunOutcome
    from mmar_runner.wire.health import Health

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Premises:
    """What every run of a standing server shares.

    Attributes:
        workspace: Locked by this process.
        plugins: In force.
        observer: Sees what happens in runs.
        guard: At the clients' port.
        current: What clients see of the run that is open.
        package: What clients are given that have no MMAR.
        address: Where clients come in.
        health: Whether they can work in a run now.
        like: Settings of every run; MMAR and trust are each run's own.
    """

    workspace: Workspace
    plugins: LoadedPlugins
    observer: Observer
    guard: Guard
    current: CurrentRun
    package: CurrentPackage
    address: str
    health: Health
    like: Callable[[TakenIn], ServerSettings]


class OpenRun:
    """A run that is served in a task of its own. Used from the event loop.

    Args:
        premises: What it shares with the other runs.
        taken: What is run.
        folder: Of the run.

    Attributes:
        parts: Once clients can join, and until it is over; None else.
        contributions: What clients have contributed.
        outcome: How it ended; None if it has not, or could not go on.
        failure: Why it could not begin or go on, or None.
        task: Ends with the run; a fault that nobody foresaw is its exception.
    """

    def __init__(self, premises: Premises, taken: TakenIn, folder: RunFolder) -> None:
        self._premises = premises
        self._taken = taken
        self._stop = StopEvent()
        self._joinable: asyncio.Future[RunParts] = asyncio.get_running_loop().create_future()
        self.parts: RunParts | None = None
        self.contributions = Contributions(premises.observer)
        self.outcome: RunOutcome | None = None
        self.failure: MmarRunnerError | None = None
        self.task = asyncio.create_task(self._serve(folder))

    @property
    def is_over(self) -> bool:
        """Whether it has ended, however."""
        return self.task.done()

    @property
    def goes_on_later(self) -> bool:
        """Whether it was stopped, and goes on when it is started again."""
        return self.outcome is not None and self.outcome.status is RunStatus.STOPPED

    async def joinable(self) -> RunParts:
        """Wait until clients can join.

        Raises:
            MmarRunnerError: Why they never can.
        """
        both: set[asyncio.Future[Any]] = {self.task, self._joinable}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if self._joinable.done():
            return self._joinable.result()
        if self.failure is not None:
            raise self.failure
        msg = "the run ended before clients could join"
        raise RunStoppedError(msg)

    async def stop(self, reason: str) -> None:
        """Stop it for a reason, a sentence, and wait until it is over."""
        self._stop.ask(reason)
        await self.over()

    async def over(self, *, within: float | None = None) -> None:
        """Wait until it is over, or for so many seconds."""
        await asyncio.wait({self.task}, timeout=within)

    async def _serve(self, folder: RunFolder) -> None:
        premises, decisions = self._premises, self._taken.trust.decisions
        place = StandingPlace(
            folder=folder,
            guard=replace(premises.guard, names=CertifiedNames(decisions.keys(), decisions)),
            current=premises.current,
            package=premises.package,
            address=premises.address,
            health=premises.health,
            joinable=self._joined,
        )
        settings = premises.like(self._taken)
        try:
            self.outcome = await serve_run(
                settings, premises.plugins, self.contributions, self._stop, place
            )
        except MmarRunnerError as error:
            _log.info("run %d could not go on", folder.number, exc_info=error)
            self.failure = error
        finally:
            self.parts = None

    def _joined(self, parts: RunParts) -> None:
        state, events = parts.opened.record.state, parts.opened.journal.events()
        self.contributions.take_up(closed_rounds(events), state.round, state.accepted)
        self.parts = parts
        self._joinable.set_result(parts)
