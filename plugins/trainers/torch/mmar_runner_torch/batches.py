# SPDX-License-Identifier: Apache-2.0
"""Batches of data, and what they mean to a loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from mmar_runner.errors import TaskFailedError

if TYPE_CHECKING:
    from mmar_runner_torch.team import Team

Pair = tuple[torch.Tensor, torch.Tensor]

#: What a loader of some of the batches is given as the loader of all of them has it.
ALIKE: Final = (
    "num_workers",
    "pin_memory",
    "timeout",
    "generator",
    "prefetch_factor",
    "persistent_workers",
)


def loader(
    dataset: Dataset[Any], declaration: Mapping[str, Any], seed: int, **defaults: Any
) -> DataLoader[Any]:
    """Return a loader whose order comes from the seed.

    Args:
        dataset: Map-style; items are pairs, or mappings with ``image`` and ``label``.
        declaration: ``{"args": {...}}`` as the configuration has it.
        seed: Where the order comes from.
        defaults: Arguments that the declaration may overrule.
    """
    generator = torch.Generator().manual_seed(seed)
    arguments = {**defaults, **declaration.get("args", {})}
    return DataLoader(dataset, generator=generator, **arguments)


def pair_of(batch: Any, device: torch.device) -> Pair:
    """Return inputs and targets of a batch, on the device.

    Raises:
        TaskFailedError: The batch is neither a pair nor a mapping with image and label.
    """
    if isinstance(batch, Mapping) and {"image", "label"} <= batch.keys():
        inputs, targets = batch["image"], batch["label"]
    elif isinstance(batch, (list, tuple)) and len(batch) == 2:  # noqa: PLR2004
        inputs, targets = batch
    else:
        raise TaskFailedError(
            f"the data set yields {type(batch).__name__} batches",
            hint="items must be (input, target), or mappings with 'image' and 'label'",
        )
    return inputs.to(device), targets.to(device)


def matched(outputs: torch.Tensor, targets: torch.Tensor) -> Pair:
    """Make outputs and targets fit each other.

    A network with one output a sample answers ``[batch]`` rather than ``[batch, 1]``,
    and targets of the outputs' shape take the outputs' type, as losses of such pairs
    expect. Class numbers stay what they are.
    """
    if outputs.shape[1:] == (1,) and targets.ndim == 1:
        outputs = outputs.squeeze(1)
    if outputs.shape == targets.shape:
        targets = targets.to(outputs.dtype)
    return outputs, targets


@dataclass(frozen=True, slots=True)
class Shares:
    """What one of several processes has of every batch.

    Attributes:
        batches: Its shares, in the order of the batches. One that has no sample, because the
            batch has fewer samples than there are processes, is the whole batch, not counted.
        team: Which process it is, and of how many.
        lengths: Of the data set and of a whole batch, in samples.
    """

    batches: DataLoader[Any]
    team: Team
    lengths: tuple[int, int]

    def whole(self, number: int) -> int:
        """Return how many samples a batch has.

        Args:
            number: Which, from 1; epochs follow each other.
        """
        samples, batch = self.lengths
        begin = (number - 1) % len(self.batches) * batch
        return min(batch, samples - begin)

    def counted(self, number: int, got: int) -> int:
        """Return how many samples of a batch this process counts.

        Args:
            number: Which, from 1.
            got: How many it got.
        """
        if self.team.size == 1:
            return got
        return len(range(self.team.rank, self.whole(number), self.team.size))


def shares(batches: DataLoader[Any], team: Team) -> Shares:
    """Divide batches among processes; a single one has them as they are.

    Args:
        batches: Whole ones, drawn alike in every process.
        team: The processes.
    """
    lengths = len(batches.dataset), batches.batch_size or 1  # type: ignore[arg-type]
    if team.size > 1:
        alike = {name: getattr(batches, name) for name in ALIKE}
        sampler = _ShareSampler(batches.batch_sampler, team)
        batches = DataLoader(batches.dataset, batch_sampler=sampler, **alike)
    return Shares(batches, team, lengths)


class _ShareSampler(Sampler[list[int]]):
    def __init__(self, batches: Any, team: Team) -> None:
        self._batches = batches
        self._team = team

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._batches:
            yield batch[self._team.rank :: self._team.size] or batch

    def __len__(self) -> int:
        return len(self._batches)
