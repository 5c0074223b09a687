# SPDX-License-Identifier: Apache-2.0
"""Batches by Poisson sampling: every sample is in a batch by a chance of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, Sampler, default_collate

from mmar_runner.errors import TaskFailedError
from mmar_runner_torch.order import Piece

if TYPE_CHECKING:
    from torch.utils.data import Dataset

#: What a declaration may say of a loader that draws its batches itself.
_KNOWN = ("num_workers", "pin_memory", "timeout", "prefetch_factor", "persistent_workers")


class PoissonOrder:
    """Batches as DP-SGD needs them (Abadi et al. 2016): drawn anew for every step.

    A batch may be empty; its piece then holds None.

    Args:
        dataset: Map-style.
        declaration: ``{"args": {...}}`` of the loader; ``batch_size`` is the mean size.
        generator: Draws the samples.

    Attributes:
        samples: Of the data set.
        rate: The chance of each.
        batch: The mean size.
        steps: As many as would see every sample once.
    """

    def __init__(
        self, dataset: Dataset[Any], declaration: Mapping[str, Any], generator: torch.Generator
    ) -> None:
        arguments = declaration.get("args", {})
        self.samples = len(dataset)  # type: ignore[arg-type]
        if not self.samples:
            raise TaskFailedError("the data set has no samples")
        self.batch = min(int(arguments.get("batch_size", 16)), self.samples)
        self.rate = self.batch / self.samples
        self.steps = math.ceil(self.samples / self.batch)
        self._dataset = dataset
        self._arguments = {n: v for n, v in arguments.items() if n in _KNOWN}
        self._generator = generator

    def pieces(self, steps: int) -> Iterator[Piece]:
        """Yield the batches of so many steps."""
        sampler = _PoissonSampler(self.samples, self.rate, steps, self._generator)
        batches: DataLoader[Any] = DataLoader(
            self._dataset, batch_sampler=sampler, collate_fn=_collated, **self._arguments
        )
        for number, batch in enumerate(batches, start=1):
            yield Piece(batch, number, self.batch, self.batch, ends_step=True)

    def counted(self, piece: Piece, got: int) -> int:
        """Return how many samples of a batch are counted: all of them."""
        del piece
        return got

    def factor(self, piece: Piece, counted: int, *, sums: bool) -> float:
        """Return the factor on a batch's loss: each batch is a step by itself."""
        del piece, counted, sums
        return 1.0


def _collated(items: list[Any]) -> Any:
    return default_collate(items) if items else None


class _PoissonSampler(Sampler[list[int]]):
    def __init__(self, samples: int, rate: float, steps: int, generator: torch.Generator) -> None:
        self._samples = samples
        self._rate = rate
        self._steps = steps
        self._generator = generator

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(self._steps):
            drawn = torch.rand(self._samples, generator=self._generator, dtype=torch.float64)
            yield (drawn < self._rate).nonzero().flatten().tolist()

    def __len__(self) -> int:
        return self._steps
