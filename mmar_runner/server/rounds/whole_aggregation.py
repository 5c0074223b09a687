# SPDX-License-Identifier: Apache-2.0
"""A round's updates, handed one after the other to a rule in a child: the next model, or why not.

At most one update lies beside the spool at a time, and no tensor is held here: what memory it
takes is the child's. What the child wrote is checked and added as any other rule's result.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from mmar_runner.interfaces.whole_aggregator import WholeRound
from mmar_runner.server.components.child_file import ChildFile
from mmar_runner.server.rounds.round_aggregation import Withdrawn
from mmar_runner.server.rounds.whole_updates import result_of, write_whole

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from mmar_runner.interfaces.aggregator import Contribution
    from mmar_runner.server.components.aggregator_child import AggregatorChild
    from mmar_runner.server.records.model_file import ModelFile
    from mmar_runner.server.rounds.aggregation import Aggregate
    from mmar_runner.server.rounds.open_round import OpenRound
    from mmar_runner.server.rounds.round_aggregation import RoundAggregation
    from mmar_runner.server.rounds.walk import Combination

#: Why an update does not count that the rule did not want.
REFUSED: Final = "AGGREGATOR_REFUSED"


@dataclass(frozen=True, slots=True)
class WholeAggregation:
    """Combines updates in a child.

    Attributes:
        aggregation: What is done here before and after.
        child: Hosts the rule.
    """

    aggregation: RoundAggregation
    child: AggregatorChild

    async def combine(
        self,
        current: OpenRound,
        combination: Combination,
        work: Executor,
        destination: Path | None = None,
    ) -> tuple[ModelFile, Aggregate] | Withdrawn:
        """Return the next model and what came with it; or which updates it must be made without.

        Args:
            current: The round.
            combination: What it is made of.
            work: Does what takes time on the disk.
            destination: Where the result goes; None for where the next model lies.

        Raises:
            RunFailedError: The rule failed, or gave what is no result.
            RunStoppedError: It was given up.
            StorageError: Something cannot be read or written, or the round's model is damaged.
        """
        loop = asyncio.get_running_loop()
        refused = await self._hand_over(combination, work)
        if refused:
            return Withdrawn(REFUSED, refused)
        file = self.child.place / "result.safetensors"
        result = await self.child.aggregate(file)
        opens = partial(ChildFile, file, self.child.author)
        given = result_of(combination, opens, result.kind, result.left_out)
        model, made = await loop.run_in_executor(
            work, self.aggregation.made, current, given, destination
        )
        self.child.forget(file)
        weights = [float(one.contribution.num_samples) for one in combination.updates]
        return model, replace(made, weights=weights)

    async def _hand_over(self, combination: Combination, work: Executor) -> dict[str, str]:
        """Let the rule have every update; return why it does not want some of them."""
        context, contributions = combination.context, [u.contribution for u in combination.updates]
        names = tuple(one.client for one in contributions)
        told = WholeRound(context.round, context.num_rounds, context.start_round, names)
        wants = await self.child.begin(told)
        refused: dict[str, str] = {}
        file = self.child.place / "update.safetensors"
        loop = asyncio.get_running_loop()
        for update in combination.updates:
            self.child.author.make_room(file)
            await loop.run_in_executor(work, write_whole, combination, update, wants, file)
            if why := await self._accepted(replace(update.contribution, kind=wants), file):
                refused[update.contribution.client] = why
        return refused

    async def _accepted(self, contribution: Contribution, file: Path) -> str:
        try:
            return await self.child.accept(contribution, file)
        finally:
            self.child.forget(file)
