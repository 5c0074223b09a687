# SPDX-License-Identifier: Apache-2.0
"""How a run ends: its files are settled, its end goes on record, and then it is told.

The order is what makes an end be an end: whoever is killed at any moment of it leaves a run
that has ended, or one that goes on with the same command.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import AuditError, RunStoppedError, StorageError
from mmar_runner.federation.run_status import RunEndStatus, RunStatus
from mmar_runner.interfaces.handler import EventType
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.components.persisting import export_model
from mmar_runner.server.ending import unless_stopped
from mmar_runner.server.records.participation import left_out
from mmar_runner.server.records.record import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.ending import Hurry
    from mmar_runner.server.parts import RunParts
    from mmar_runner.server.settings import ServerSettings

_log = logging.getLogger(__name__)

#: How long the settling of a run that has ended may still take once the server is to stop.
_SETTLE_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        status: Finished, failed or stopped.
        reason: Why, if it did not finish.
        run_folder: Where its files lie.
        summary: What ``summary.json`` says.
        hint: Where to look if it failed, or empty.
    """

    status: RunStatus
    reason: str
    run_folder: Path
    summary: dict[str, Any]
    hint: str = ""


class Settling:
    """The end of one run.

    Args:
        settings: Of the server.
        parts: Of the run.
        observer: Told that the run has ended.
        hurry: Says that the server is to stop, and why.
    """

    def __init__(
        self, settings: ServerSettings, parts: RunParts, observer: Observer, hurry: Hurry
    ) -> None:
        self._settings = settings
        self._parts = parts
        self._observer = observer
        self._hurry = hurry

    async def finish(self, status: RunEndStatus, reason: str) -> RunOutcome:
        """Settle the run's files; if the server is to stop before that is done, it is stopped."""
        if status is RunStatus.STOPPED:
            self._parts.give_up()
            await self._parts.coordinator.close()
            return await self._settle_stopped(reason)
        try:
            settling = self._settle(status, reason)
            return await unless_stopped(settling, self._hurry.asked, grace=_SETTLE_SECONDS)
        except (StorageError, AuditError, RunStoppedError) as error:
            if not self._hurry.asked.is_set():
                raise
            _log.warning("the run's end is not settled yet: %s", error.message)
            return await self._settle_stopped(self._hurry.reason)

    def conclude(self) -> RunOutcome:
        """Return how an earlier process ended the run; its summary is written if it is gone."""
        opened, state = self._parts.opened, self._parts.opened.record.state
        try:
            summary = json.loads(opened.folder.summary.read_bytes())
            if summary["status"] == state.status:
                return RunOutcome(state.status, state.reason, opened.folder.path, summary)
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.warning("%s is written anew: %s", opened.folder.summary, error)
        final = opened.folder.models / "final.safetensors"
        named = f"models/{final.name}" if final.exists() else None
        said: dict[str, Any] = {"wall_seconds": state.wall_seconds, "final": named}
        try:
            summary = self._parts.summary.write(state.status, state.reason, **said)
        except StorageError as error:
            _log.warning("the summary is not written: %s", error.message)
            summary = self._parts.summary.facts(state.status, state.reason, **said)
        return RunOutcome(state.status, state.reason, opened.folder.path, summary)

    def with_late_failures(self, outcome: RunOutcome) -> RunOutcome:
        """Return an outcome, and let the summary say, who failed when told of the run's end."""
        try:
            summary = self._parts.summary.with_failures(outcome.summary)
        except StorageError as error:
            _log.warning("the summary lacks components that failed: %s", error.message)
            return outcome
        return replace(outcome, summary=summary)

    def tell(self, outcome: RunOutcome, wall_seconds: float) -> None:
        """Tell handlers, hooks and whoever watches how the run has ended."""
        facts: dict[str, Any] = {"status": outcome.status.value, "reason": outcome.reason}
        self._parts.events.emit(EventType.END_RUN, **facts)
        ended = outcome.status is not RunStatus.STOPPED
        if ended and (clients := left_out(outcome.summary["rounds"])):
            self._observer.observe(Observation(Topic.LEFT_OUT, {"clients": clients}))
        data = {
            **facts,
            "wall_seconds": wall_seconds,
            "run_folder": str(outcome.run_folder),
            "best_round": outcome.summary["best_round"],
        }
        self._observer.observe(Observation(Topic.RUN_ENDED, data))

    async def _settle(self, status: RunEndStatus, reason: str) -> RunOutcome:
        """Settle the run's files and put its end on record; only then is anyone told."""
        parts, keep_trying = self._parts, self._parts.disk.keep_trying
        await parts.coordinator.close()
        final = None
        if status is RunStatus.FINISHED:
            final = await keep_trying("final", self._publish_final)
        await keep_trying("audit", partial(asyncio.to_thread, parts.guard.audit.flush))
        wall = parts.wall_seconds()

        async def write() -> dict[str, Any]:
            parts.opened.models.settle()
            return parts.summary.write(status, reason, wall_seconds=wall, final=final)

        summary = await keep_trying("summary", write)
        await self._record_end(status, reason, wall)
        parts.coordinator.announce()
        hint = parts.coordinator.hint
        outcome = RunOutcome(status, reason, parts.opened.folder.path, summary, hint)
        self.tell(outcome, wall)
        return outcome

    async def _settle_stopped(self, reason: str) -> RunOutcome:
        """Put on record that the run was stopped, if the disk takes it: it is not needed."""
        parts, wall = self._parts, self._parts.wall_seconds()
        try:
            await self._record_end(RunStatus.STOPPED, reason, wall)
        except StorageError as error:
            _log.warning("that the run was stopped is not on record: %s", error.message)
        summary = parts.summary.facts(RunStatus.STOPPED, reason, wall_seconds=wall)
        try:
            parts.summary.write(RunStatus.STOPPED, reason, wall_seconds=wall)
        except StorageError as error:
            _log.warning("the summary says nothing of it: %s", error.message)
        if parts.coordinator.ended.result()[0] is RunStatus.STOPPED:
            parts.coordinator.announce()
        outcome = RunOutcome(RunStatus.STOPPED, reason, parts.opened.folder.path, summary)
        self.tell(outcome, wall)
        return outcome

    async def _record_end(self, status: RunEndStatus, reason: str, wall: float) -> None:
        record = {"status": status.value, "reason": reason, "wall_seconds": wall}
        await asyncio.wrap_future(self._parts.opened.record.append(Kind.RUN_ENDED, record))

    async def _publish_final(self) -> str | None:
        parts, opened = self._parts, self._parts.opened
        if self._settings.upstream is not None:
            return None  # the last round's model is made above, and nobody below is given it
        last = parts.coordinator.next_round - 1
        if last < self._settings.server.start_round:
            return None
        path = opened.models.publish(last + 1, "final")
        await export_model(self._settings, opened.folder, path)
        with suppress(OSError):  # it is no matter if one more than asked for stays
            opened.models.discard_older(last + 1, finished=True)
        return "models/final.safetensors"
