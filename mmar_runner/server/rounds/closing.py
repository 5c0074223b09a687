# SPDX-License-Identifier: Apache-2.0
"""Closes a round: has its updates aggregated, records the result, finds the best model."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import StorageError
from mmar_runner.interfaces.handler import EventType
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.server.records.record import Kind
from mmar_runner.server.records.summary import round_summary, weighted_metrics
from mmar_runner.server.rounds.round_aggregation import Withdrawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.server.components.validator import ServerValidator
    from mmar_runner.server.records.model_file import ModelFile
    from mmar_runner.server.records.models import ModelStore
    from mmar_runner.server.records.record import AcceptedUpdate, CountedUpdate
    from mmar_runner.server.records.run_record import RunRecord
    from mmar_runner.server.records.summary import Summary
    from mmar_runner.server.rounds.aggregation import Aggregate
    from mmar_runner.server.rounds.best import BestModel, Scored
    from mmar_runner.server.rounds.combining import Combines
    from mmar_runner.server.rounds.exchange_desk import ExchangeDesk
    from mmar_runner.server.rounds.open_round import OpenRound
    from mmar_runner.server.rounds.outliers import OutlierWatch
    from mmar_runner.server.rounds.round_aggregation import RoundAggregation
    from mmar_runner.server.settings import ServerSettings
    from mmar_runner.server.telling.events import EventDispatcher
    from mmar_runner.server.telling.space import DiskWait
    from mmar_runner.storage.spool import Spool

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Best:
    """The best result so far, and the metrics that its score was made of."""

    scored: Scored
    metrics: Mapping[str, float]

    @property
    def facts(self) -> dict[str, Any]:
        """What the journal says of it."""
        return asdict(self.scored)


@dataclass(frozen=True, slots=True)
class ClosedRound:
    """What a closed round leaves.

    Attributes:
        model: The next round's model.
        counted: What it was made of.
        recorded: The number of the journal's event.
        best: The best result, if it is another one from now on.
        following: The next round.
    """

    model: ModelFile
    counted: Sequence[CountedUpdate]
    recorded: asyncio.Future[int]
    best: Best | None
    following: int


@dataclass(slots=True, kw_only=True)
class RoundCloser:
    """Everything that closing a round needs.

    Attributes are the parts of one run; see their classes. ``max_staleness`` says how many
    versions older than the newest the model may be that an update was made from.
    """

    settings: ServerSettings
    aggregation: RoundAggregation
    record: RunRecord
    spool: Spool
    models: ModelStore
    best: BestModel
    summary: Summary
    dispatcher: EventDispatcher
    observer: Observer
    validator: ServerValidator | None
    started_at: float
    disk: DiskWait
    max_staleness: int
    exchange: ExchangeDesk
    combining: Combines
    outliers: OutlierWatch
    forgetting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def waiting(self) -> str:
        """What a round that closes waits for, that nothing here can hasten; else empty."""
        return self.combining.waiting

    def give_up(self) -> None:
        """Leave an aggregation that is under way: its thread ends at the next block."""
        self.aggregation.given_up.set()

    async def close(self, current: OpenRound, work: Executor) -> ClosedRound | Withdrawn:
        """Aggregate a round's accepted updates and record the result.

        Returns:
            What the round leaves; or, with nothing recorded, which updates it must be
            closed without.

        Raises:
            MmarRunnerError: The updates cannot be combined or the result not stored.
        """
        loop = asyncio.get_running_loop()
        settle = partial(self.exchange.settle, current)
        if (withdrawn := await self.disk.keep_trying("exchange", settle)) is not None:
            return withdrawn
        names = filter(self.exchange.counts, sorted(current.accepted))
        counted = [current.accepted[name] for name in names]
        combine = partial(self.combining.combine, current, counted, work)
        aggregated = await self.disk.keep_trying("aggregate", combine)
        if isinstance(aggregated, Withdrawn):
            return aggregated
        model, made = aggregated
        updates = [one.update for one in counted]
        metrics = weighted_metrics(said for update in updates for said in update.said)
        validated = await self._validate(current.number, model)
        best = self._scored(current.number, updates, validated)
        entry = round_summary(
            current.number,
            updates,
            made.weights,
            seconds=loop.time() - current.opened_at,
            rejected=current.rejected,
            metrics={**metrics, **validated},
            model_sha256=model.sha256,
            aggregation=made.facts,
        )
        recorded = self._record(current.number, entry, best, made)
        following = current.number + 1 if made.following is None else made.following
        self.aggregation.go_on(following, made.state_sha256)
        self._tell(current.number, entry, model)
        return ClosedRound(model, counted, recorded, best, following)

    async def forget(self, current: OpenRound, closed: ClosedRound, work: Executor) -> None:
        """Once the result is on record: name the best, delete what is no longer needed.

        The next round is open by then, and waits for none of it. Rounds are taken in their
        order, even if they are on record at once: a later one would delete the model that an
        earlier one is to name, and be named before it.

        Raises:
            StorageError: The result could not be put on record; its files are kept.
        """
        async with self.forgetting:
            try:
                recorded = await closed.recorded
            except StorageError as error:
                _log.warning("files of round %d are kept: %s", current.number, error)
                raise
            if closed.best is not None:
                await self._name_best(current, closed, closed.best)
            await self.outliers.look(current, closed.counted, work)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(work, self._delete, current, closed.following, recorded)
            await self.exchange.forget(current.number)

    async def _validate(self, number: int, model: ModelFile) -> dict[str, float]:
        every = self.settings.server.validate_every
        if self.validator is None or not every or (number + 1) % every:
            return {}
        return await self.validator.validate(model.path)

    def _record(
        self, number: int, entry: dict[str, Any], best: Best | None, made: Aggregate
    ) -> asyncio.Future[int]:
        loop = asyncio.get_running_loop()
        wall = loop.time() - self.started_at
        record = {"round": number, "summary": entry, "wall_seconds": round(wall, 6)}
        if made.state_sha256:
            record["state_sha256"] = made.state_sha256
        if made.following is not None:
            record["following"] = made.following
        if best is not None:
            record["best"] = best.facts
        recorded = self.record.append(Kind.ROUND_CLOSED, record)
        if best is not None:  # for whoever reads along: what is resumed from says it already
            self.record.append(Kind.BEST_MODEL, best.facts)
        return asyncio.wrap_future(recorded, loop=loop)

    def _scored(
        self, number: int, updates: list[AcceptedUpdate], validated: Mapping[str, float]
    ) -> Best | None:
        """Score the newest model by the server's metrics, or the last by the clients'.

        A server that validates decides alone: scores from different data say nothing
        about each other.

        Returns:
            Which result is the best from now on, if it is another one.
        """
        if self.validator is not None:
            scored, metrics = number, validated
        else:
            # What a client measured is of the model that it trained, which may be an older one.
            fresh = [update for update in updates if not update.staleness]
            contributions = [one for update in fresh for one in update.contributions]
            weights = self.best.weights(number, contributions)
            facts = (said for update in fresh for said in update.said)
            metrics = weighted_metrics(facts, validation_only=True, weights=weights)
            scored = number - 1
        found = self.best.consider(scored, metrics, self.record.state.best)
        return None if found is None else Best(found, metrics)

    async def _name_best(self, current: OpenRound, closed: ClosedRound, best: Best) -> None:
        """Give the best result its name: once that is on record, and before it is told.

        A server that ends between the two gives the name when it is back.
        """
        chosen = best.scored.round
        try:
            path = await self.disk.keep_trying("best", partial(self._publish_best, chosen))
        except StorageError as error:
            _log.warning("the best model is not saved: %s", error)
            return
        self.summary.set_best(chosen)
        model = closed.model if chosen == current.number else current.model
        told = {"metrics": dict(best.metrics), "model_sha256": model.sha256}
        self.dispatcher.emit(EventType.BEST_MODEL, chosen, model=str(path), **told)
        facts = {**best.facts, "scored_in": current.number}
        self.observer.observe(Observation(Topic.BEST_MODEL, facts))

    async def _publish_best(self, number: int) -> Path:
        return self.models.publish(number + 1, "best", later=True)

    def _tell(self, number: int, entry: dict[str, Any], model: ModelFile) -> None:
        facts = {"metrics": entry["metrics"], "model_sha256": entry["model_sha256"]}
        self.dispatcher.emit(EventType.AFTER_AGGREGATION, number, model=str(model.path), **facts)
        data = {
            "round": number,
            "num_rounds": self.settings.server.num_rounds,
            "seconds": entry["seconds"],
            "clients": [c["client"] for c in entry["contributions"]],
            **facts,
        }
        self.observer.observe(Observation(Topic.ROUND_FINISHED, data))

    def _delete(self, current: OpenRound, following: int, seq: int) -> None:
        number = current.number
        try:
            if self.max_staleness:  # of rounds whose model is not too old, updates may still come
                for counted in current.accepted.values():
                    self.spool.release(counted.update.base, counted.update.client)
            self.spool.delete_round(number - self.max_staleness)
            self.record.journal.drop_blobs(seq)
            self.models.discard_older(following)
        except (OSError, StorageError) as error:
            _log.warning("files of round %d could not be deleted: %s", number, error)
