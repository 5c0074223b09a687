# SPDX-License-Identifier: Apache-2.0
"""Driving an aggregator over one tensor the way the server does, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import ml_dtypes
import numpy as np
import numpy.typing as npt

from mmar_runner.interfaces.aggregator import (
    AggregationContext,
    Contribution,
    TensorwiseAggregator,
)

#: Element types of models; each must be taken as it comes.
DTYPES: Final[tuple[npt.DTypeLike, ...]] = (
    np.float32,
    np.float64,
    np.float16,
    ml_dtypes.bfloat16,
    np.int64,
    np.bool_,
)


@dataclass(frozen=True, slots=True)
class Updates:
    """One tensor of several updates.

    Attributes:
        contributions: In the order of client names.
        tensors: Shape ``[clients, elements]``; read-only.
    """

    contributions: Sequence[Contribution]
    tensors: npt.NDArray[Any]

    def differences(self) -> Updates:
        """Return the same as a rule is given them that sees differences: in float64."""
        return Updates(self.contributions, frozen(self.tensors.astype(np.float64)))

    def reordered(self, order: Sequence[int]) -> Updates:
        """Return the same updates in another order."""
        return Updates([self.contributions[i] for i in order], frozen(self.tensors[list(order)]))


def context(number: int = 0, *, participants: int = 9) -> AggregationContext:
    """Return what the server would tell of a round; its secret is known to everybody."""
    return AggregationContext(
        round=number,
        num_rounds=number + 1,
        start_round=0,
        participants=participants,
        population=participants,
        secret=bytes(31) + bytes([number % 256]),
    )


def frozen(tensors: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a copy that refuses to be written to, as the server's blocks do."""
    copy = np.array(tensors)
    copy.setflags(write=False)
    return copy


def drawn(dtype: npt.DTypeLike, *, clients: int, elements: int, seed: int = 0) -> Updates:
    """Return updates with random values, samples and order of magnitude."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(clients, elements)) * 10.0
    samples = random.integers(1, 1000, size=clients)
    tensors = values > 0 if np.dtype(dtype) == np.bool_ else values.astype(dtype)
    contributions = [Contribution(f"site-{i + 1}", float(count)) for i, count in enumerate(samples)]
    return Updates(contributions, frozen(tensors))


def combined(
    aggregator: TensorwiseAggregator, updates: Updates, *, block: int | None = None, number: int = 0
) -> npt.NDArray[Any]:
    """Return the combined tensor, worked out in blocks of ``block`` elements.

    Args:
        aggregator: The rule.
        updates: Of the round; of a rule that sees differences, the differences.
        block: How many elements it sees at a time; None: all.
        number: The round.
    """
    aggregator.begin(context(number, participants=len(updates.contributions)))
    weights = weights_of(aggregator, updates)
    blocks = _blocks(updates.tensors, block)
    if aggregator.needs_measure:
        for part in blocks:
            aggregator.measure("layer.weight", part, weights)
    return np.concatenate([aggregator.combine("layer.weight", p, weights) for p in blocks])


def folded(aggregator: TensorwiseAggregator, updates: Updates, *, block: int) -> npt.NDArray[Any]:
    """Return the combined tensor, worked out by adding one client after another."""
    aggregator.begin(context(participants=len(updates.contributions)))
    weights = weights_of(aggregator, updates)
    results = []
    for part in _blocks(updates.tensors, block):
        accumulator = np.zeros(part.shape[1], dtype=np.float64)
        for tensor, weight in zip(part, weights, strict=True):
            aggregator.fold(accumulator, "layer.weight", tensor, float(weight))
        results.append(aggregator.finish(accumulator, "layer.weight", weights))
    return np.concatenate(results)


def weights_of(aggregator: TensorwiseAggregator, updates: Updates) -> npt.NDArray[np.float64]:
    """Return what `weigh` answers, as the array that `combine` is given."""
    weights = np.array(aggregator.weigh(updates.contributions), dtype=np.float64)
    weights.setflags(write=False)
    return weights


def stored(result: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the result as the server stores it: integers to even, booleans by majority."""
    kind = np.dtype(dtype)
    if kind == np.bool_:
        return np.asarray(result) > 0.5
    # A value that does not fit is the suite's to find, as an infinity.
    with np.errstate(over="ignore", invalid="ignore"):
        return np.rint(result).astype(kind) if kind.kind in "iu" else result.astype(kind)


def _blocks(tensors: npt.NDArray[Any], block: int | None) -> list[npt.NDArray[Any]]:
    size = block or tensors.shape[1]
    return [tensors[:, start : start + size] for start in range(0, tensors.shape[1], size)]
