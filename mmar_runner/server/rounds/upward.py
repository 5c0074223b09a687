# SPDX-License-Identifier: Apache-2.0
"""A combiner's rounds: the sum of their updates goes up, and the next model comes from there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import DigestError
from mmar_runner.server.records.record import Kind
from mmar_runner.server.records.summary import shares_of
from mmar_runner.server.rounds.aggregation import Aggregate
from mmar_runner.server.rounds.round_aggregation import Withdrawn
from mmar_runner.server.upstream import SumMade, SumWanted

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from mmar_runner.federation.assignment import Expected
    from mmar_runner.federation.sites import Sites
    from mmar_runner.server.records.model_file import ModelFile
    from mmar_runner.server.records.models import ModelStore
    from mmar_runner.server.records.record import CountedUpdate
    from mmar_runner.server.records.run_record import RunRecord
    from mmar_runner.server.rounds.open_round import OpenRound
    from mmar_runner.server.rounds.partial_sum import PartialSum
    from mmar_runner.server.rounds.round_aggregation import RoundAggregation
    from mmar_runner.server.upstream import GivenModel, Upstream
    from mmar_runner.storage.model_schema import ModelSchema

#: After how long it is said that a parent has not answered yet, in seconds: mostly it does at once.
_SAID_AFTER_SECONDS: Final = 5.0


@dataclass(slots=True, kw_only=True)
class Upward:
    """Stands where a server combines updates: see `mmar_runner.server.rounds.combining`.

    Attributes:
        aggregation: Adds the updates up.
        record: Of the run; that a sum was made is on record before it leaves.
        upstream: The way up.
        models: The run's models.
        schema: The tensors of every one of them.
        sites: Which site a client is of.
        tell: Tells what is waited for.
        waiting: That, in a sentence; empty before the sum has gone up.
    """

    aggregation: RoundAggregation
    record: RunRecord
    upstream: Upstream
    models: ModelStore
    schema: ModelSchema
    sites: Sites
    tell: Callable[[str], None]
    waiting: str = ""
    _weights: dict[int, tuple[float, ...]] = field(default_factory=dict)
    _telling: asyncio.TimerHandle | None = None

    async def combine(
        self, current: OpenRound, accepted: list[CountedUpdate], work: Executor
    ) -> tuple[ModelFile, Aggregate] | Withdrawn:
        """Return the parent's next model; or which updates the sum must be made without.

        The parent may ask for the sum more than once, and for none if it went on without it.

        Args:
            current: The round.
            accepted: Its updates, in the order of client names.
            work: Does what takes time on the disk.

        Raises:
            RunFailedError: The rule failed.
            RunStoppedError: It was given up, or the run has ended above.
            StorageError: Something cannot be read or written, or a model is damaged.
        """
        try:
            return await self._combine(current, accepted, work)
        finally:
            self._be_silent()

    async def _combine(
        self, current: OpenRound, accepted: list[CountedUpdate], work: Executor
    ) -> tuple[ModelFile, Aggregate] | Withdrawn:
        loop, unkept = asyncio.get_running_loop(), None
        if self.record.state.sealed:
            self._wait(current)
        while True:
            news = await self.upstream.news(current.number)
            if not isinstance(news, SumWanted):
                try:
                    return await loop.run_in_executor(work, self._taken, current, accepted, news)
                except DigestError:
                    if news == unkept:
                        raise
                    unkept = news  # a newer one may have been written over it
                    continue
            if (unlike := await self._unlike(accepted, news.expected)) is not None:
                return unlike
            made = await self._summed(current, accepted, news, work)
            if isinstance(made, Withdrawn):
                return made
            self.upstream.hand_up(made)
            self._wait(current)

    async def _unlike(
        self, accepted: list[CountedUpdate], expected: Expected | None
    ) -> Withdrawn | None:
        """Return whose updates are not to be in the sum, if it is to be another; else None.

        Then the round takes updates again, of those who work below from now on.
        """
        if expected is None:
            return None
        names = {counted.update.client for counted in accepted}
        others = sorted(names - expected.sites)
        if not others and self.sites.count(names) >= expected.needed:
            return None
        if self.record.state.sealed:
            facts = {"round": self.record.state.round}
            await asyncio.wrap_future(self.record.append(Kind.PARTIAL_REOPENED, facts))
        return Withdrawn("NOT_ASSIGNED", dict.fromkeys(others, "it works below another combiner"))

    def _wait(self, current: OpenRound) -> None:
        self._be_silent()
        self.waiting = f"round {current.number}: the parent, which has the sum of its updates"
        loop = asyncio.get_running_loop()
        self._telling = loop.call_later(_SAID_AFTER_SECONDS, self.tell, self.waiting)

    def _be_silent(self) -> None:
        self.waiting = ""
        if self._telling is not None:
            self._telling.cancel()

    async def close(self) -> None:
        """Nothing takes part in it that would have to end."""

    async def _summed(
        self, current: OpenRound, accepted: list[CountedUpdate], wanted: SumWanted, work: Executor
    ) -> SumMade | Withdrawn:
        """Return the sum, once it is on record that nothing is added to it any more."""
        loop = asyncio.get_running_loop()
        add = partial(self._added, current, accepted, wanted.destination)
        made = await loop.run_in_executor(work, add)
        if isinstance(made, Withdrawn):
            return made
        if not self.record.state.sealed:
            facts = {"round": current.number, "sha256": made.sha256}
            await asyncio.wrap_future(self.record.append(Kind.PARTIAL_MADE, facts))
        self._weights = {current.number: made.weights}
        updates = [counted.update for counted in accepted]
        parts = tuple(
            replace(part, facts=replace(part.facts, round=current.number, kind=made.kind))
            for part in shares_of(updates, made.weights)
        )
        return SumMade(current.number, made.sha256, made.kind, parts)

    def _added(
        self, current: OpenRound, accepted: list[CountedUpdate], destination: Path
    ) -> PartialSum | Withdrawn:
        """Write the sum; one visit of a thread, for a small model's takes longer to reach."""
        found = self.aggregation.combination(current, accepted)
        if isinstance(found, Withdrawn):
            return found
        return self.aggregation.partial_sum(found, destination)

    def _taken(
        self, current: OpenRound, accepted: list[CountedUpdate], given: GivenModel
    ) -> tuple[ModelFile, Aggregate]:
        """Take a model from above as the next one, and say what of this round went up."""
        model = self.models.take(given.path, given.round, given.sha256, self.schema)
        weights = self._weights.get(current.number)
        if weights is None and self.record.state.sealed:  # an earlier process had sent it up
            found = self.aggregation.combination(current, accepted)
            if not isinstance(found, Withdrawn):
                with found.walk() as walk:
                    weights = tuple(walk.weights.tolist())
        said = {} if weights is not None else {"passed": "the parent went on without this round"}
        if weights is None:
            sites = sum(len(counted.update.contributions) for counted in accepted)
            weights = (0.0,) * sites
        return model, Aggregate(given.sha256, list(weights), said, following=given.round)
