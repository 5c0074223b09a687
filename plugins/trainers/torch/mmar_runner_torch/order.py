# SPDX-License-Identifier: Apache-2.0
"""Which batches a round trains on, and which of them make a step together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, Sampler

from mmar_runner.federation.seeds import derive_seed
from mmar_runner_torch.batches import ALIKE, shares

if TYPE_CHECKING:
    from mmar_runner_torch.team import Team


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order of batches.

    Attributes:
        seed: Where the order of all epochs comes from.
        epoch: Which, from 0.
        batch: How many batches of that epoch are done.
    """

    seed: int
    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """One batch, or a process's share of it.

    Attributes:
        batch: As the loader gave it.
        number: Which batch of its epoch, from 1.
        whole: Samples of the batch, in all processes.
        group: Samples of all batches that make one step together.
        ends_step: Whether the step is taken after this batch.
    """

    batch: Any
    number: int
    whole: int
    group: int
    ends_step: bool


class Order:
    """Batches, epoch after epoch, from a position on, in groups that make one step each.

    A group ends with its epoch, so that the steps are those of a batch that is as many times
    larger.

    Args:
        batches: Of an epoch, drawn alike in every process.
        team: Divides each batch among its processes.
        position: Where to begin.
        group: How many batches make a step.

    Attributes:
        position: Behind the last step that was taken.
        steps: In a whole epoch.
    """

    def __init__(
        self, batches: DataLoader[Any], team: Team, position: Position, group: int
    ) -> None:
        self._shares = shares(batches, team)
        self._team = team
        self._group = group
        self._length = len(batches)
        self.steps = math.ceil(self._length / group)
        self.position = position

    def pieces(self, steps: int) -> Iterator[Piece]:
        """Yield the batches of so many steps."""
        while steps > 0:
            epoch, done = self.position.epoch, self.position.batch
            for number, batch in enumerate(self._rest(epoch, done), start=done + 1):
                piece = self._piece(number, batch)
                yield piece
                if piece.ends_step:
                    steps -= 1
                    self.position = self._behind(epoch, number)
                if not steps:
                    return

    def counted(self, piece: Piece, got: int) -> int:
        """Return how many samples of a batch this process counts, of those that it got."""
        return self._shares.counted(piece.number, got)

    def factor(self, piece: Piece, counted: int, *, sums: bool) -> float:
        """Return what makes the sum of a step's losses the loss of all its samples.

        Args:
            piece: The batch.
            counted: How many of its samples this process counts.
            sums: Whether the loss is a sum over samples; else it is their mean.
        """
        if self._team.size == 1:
            return 1.0 if sums else piece.whole / piece.group
        if sums:
            return float(self._team.size if counted else 0)
        return self._team.size * counted / piece.group

    def _rest(self, epoch: int, done: int) -> DataLoader[Any]:
        """Return an epoch's batches without those that are done; none of these is loaded."""
        batches = self._shares.batches
        if isinstance(batches.generator, torch.Generator):
            batches.generator.manual_seed(derive_seed(self.position.seed, "epoch", epoch))
        if not done:
            return batches
        alike = {name: getattr(batches, name) for name in ALIKE}
        sampler = _RestSampler(batches.batch_sampler, done)
        return DataLoader(batches.dataset, batch_sampler=sampler, **alike)

    def _piece(self, number: int, batch: Any) -> Piece:
        begin = (number - 1) // self._group * self._group
        end = min(begin + self._group, self._length)
        group = sum(self._shares.whole(one) for one in range(begin + 1, end + 1))
        return Piece(batch, number, self._shares.whole(number), group, ends_step=number == end)

    def _behind(self, epoch: int, number: int) -> Position:
        over = number >= self._length
        seed = self.position.seed
        return Position(seed, epoch + 1) if over else Position(seed, epoch, number)


class _RestSampler(Sampler[list[int]]):
    def __init__(self, batches: Any, done: int) -> None:
        self._batches = batches
        self._done = done

    def __iter__(self) -> Iterator[list[int]]:
        for number, batch in enumerate(self._batches):
            if number >= self._done:
                yield batch

    def __len__(self) -> int:
        return max(len(self._batches) - self._done, 0)
