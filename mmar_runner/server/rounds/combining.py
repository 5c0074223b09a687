# SPDX-License-Identifier: Apache-2.0
"""From a round's accepted updates to the next model: filters, the rule, filters."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from mmar_runner.errors import NonFiniteError
from mmar_runner.server.components.child_file import clear
from mmar_runner.server.rounds.overflow import is_finite
from mmar_runner.server.rounds.round_aggregation import Withdrawn

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from mmar_runner.server.records.model_file import ModelFile
    from mmar_runner.server.records.record import CountedUpdate
    from mmar_runner.server.rounds.aggregation import Aggregate
    from mmar_runner.server.rounds.open_round import OpenRound
    from mmar_runner.server.rounds.round_aggregation import RoundAggregation
    from mmar_runner.server.rounds.round_filters import RoundFilters
    from mmar_runner.server.rounds.walk import Combination
    from mmar_runner.server.rounds.whole_aggregation import WholeAggregation


class Combines(Protocol):
    """Has the next model come of a round's updates: made of them here, or by a parent."""

    @property
    def waiting(self) -> str:
        """What is waited for that nothing here can hasten, in a sentence; else empty."""
        ...

    async def combine(
        self, current: OpenRound, accepted: list[CountedUpdate], work: Executor
    ) -> tuple[ModelFile, Aggregate] | Withdrawn:
        """Return the next model and what came with it; see `Combining.combine`."""
        ...

    async def close(self) -> None:
        """End what takes part in it."""
        ...


@dataclass(frozen=True, slots=True)
class Combining:
    """Combines a round's updates.

    Attributes:
        aggregation: What is done in this process.
        whole: Has the rule work in a child, if it wants whole updates; else None.
        filters: The server's; None if there are none.
    """

    aggregation: RoundAggregation
    whole: WholeAggregation | None = None
    filters: RoundFilters | None = None

    @property
    def waiting(self) -> str:
        """Nothing is waited for: a model is made here."""
        return ""

    async def combine(
        self, current: OpenRound, accepted: list[CountedUpdate], work: Executor
    ) -> tuple[ModelFile, Aggregate] | Withdrawn:
        """Return the next model and what came with it; or which updates it must be made without.

        Args:
            current: The round.
            accepted: Its updates, in the order of client names.
            work: Does what takes time on the disk.

        Raises:
            RunFailedError: The rule or a filter failed, or gave what is not usable.
            RunStoppedError: It was given up.
            StorageError: Something cannot be read or written, or the round's model is damaged.
        """
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(work, self.aggregation.combination, current, accepted)
        if isinstance(found, Withdrawn):
            return found
        if self.filters is None:
            return await self._combined(current, found, work)
        await self.filters.begin()
        filtered = await self.filters.updates(found, current, work)
        draft, outbound = self.filters.draft(), self.filters.outbound
        made = await self._combined(current, filtered, work, draft)
        if isinstance(made, Withdrawn):
            await self._require_blame(made, found, work)
            return made
        if draft is None or outbound is None:
            return made
        opens = await self.filters.result(outbound, draft, current, work)
        clear(draft)
        published = partial(self.aggregation.published, current, opens)
        return await loop.run_in_executor(work, published), made[1]

    async def close(self) -> None:
        """End the children."""
        if self.whole is not None:
            await self.whole.child.close()
        if self.filters is not None:
            await self.filters.close()

    async def _require_blame(
        self, withdrawn: Withdrawn, unfiltered: Combination, work: Executor
    ) -> None:
        """Let no client be blamed for what became of its update here.

        Raises:
            RunFailedError: FILTER, without the filters nothing would be infinite.
        """
        chain = None if self.filters is None else self.filters.inbound
        if chain is None or withdrawn.reason != NonFiniteError.default_reason:
            return
        loop = asyncio.get_running_loop()
        if await loop.run_in_executor(work, is_finite, unfiltered):
            raise chain.author.failure("made updates of which the aggregate is not finite")

    async def _combined(
        self,
        current: OpenRound,
        combination: Combination,
        work: Executor,
        destination: Path | None = None,
    ) -> tuple[ModelFile, Aggregate] | Withdrawn:
        if self.whole is not None:
            return await self.whole.combine(current, combination, work, destination)
        loop = asyncio.get_running_loop()
        combine = self.aggregation.combine
        return await loop.run_in_executor(work, combine, current, combination, destination)
