# SPDX-License-Identifier: Apache-2.0
"""What the robust rules share: whom they count, what they leave out, and sums of rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from mmar_runner.interfaces.aggregator import (
    AggregationContext,
    Contribution,
    TensorwiseAggregator,
)

#: Elements handled at a time: sum and product of so many stay in the processor's cache.
STRIDE: Final = 8 * 1024


class RobustRule(TensorwiseAggregator):
    """A rule that looks at every update by itself.

    Args:
        exclude_vars: Regular expression, searched in tensor names; what matches keeps the global
            model's value, and counts in no distance and no norm. None or empty excludes nothing.

    Attributes:
        by_samples: Whether an update weighs as many samples as it was trained on; else each
            counts once, because a site that lies about its update may lie about its samples.

    Raises:
        ValueError: The expression is invalid.
    """

    by_samples: bool = False
    foldable: ClassVar[bool] = False

    def __init__(self, exclude_vars: str | None = None) -> None:
        self._exclude = _compiled(exclude_vars) if exclude_vars else None
        self.clients: list[str] = []
        self._integers: frozenset[str] = frozenset()

    def begin(self, context: AggregationContext) -> None:
        """Forget another walk's clients."""
        self.clients, self._integers = [], context.integers

    def weigh(self, contributions: Sequence[Contribution]) -> Sequence[float]:
        """Return 1 for each, or its samples if the rule goes by them."""
        self.clients = [c.client for c in contributions]
        return [float(c.num_samples) if self.by_samples else 1.0 for c in contributions]

    def excludes(self, name: str) -> bool:
        """Return True if ``exclude_vars`` is found in the tensor's name."""
        return self._exclude is not None and self._exclude.search(name) is not None

    def counts(self, name: str, block: npt.NDArray[Any]) -> bool:
        """Return True if a tensor counts in distances and norms: if it is floating.

        Integers and booleans, such as numbers of batches, are on another scale than weights, and
        say how much a site trained rather than what it learned.
        """
        whole = block.dtype.kind in "biu"  # the floating ones of ml_dtypes have kinds of their own
        return not whole and name not in self._integers


def malicious(number: int) -> int:
    """Return how many clients may send anything.

    Raises:
        ValueError: It is no whole number of at least 0.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError(f"num_malicious is {number}, not a whole number of at least 0")
    return number


def strides(count: int, stride: int = STRIDE) -> Iterator[slice]:
    """Yield slices of so many elements, one after another."""
    for start in range(0, count, stride):
        yield slice(start, min(start + stride, count))


def weighted_sum(
    rows: Iterable[npt.NDArray[Any]], weights: Iterable[float], count: int
) -> npt.NDArray[np.float64]:
    """Return the sum of weight times row, element by element in the rows' order.

    Args:
        rows: Each of shape ``[count]``, of any dtype.
        weights: One a row; a row of weight 0 is not looked at.
        count: Elements.
    """
    result = np.zeros(count, dtype=np.float64)
    product = np.empty(min(STRIDE, count), dtype=np.float64)
    counted = [(row, weight) for row, weight in zip(rows, weights, strict=True) if weight]
    for part in strides(count):
        total = result[part]
        scratch = product[: total.size]
        for row, weight in counted:
            scratch[...] = row[part]
            if weight != 1.0:
                np.multiply(scratch, weight, out=scratch)
            np.add(total, scratch, out=total)
    return result


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"exclude_vars {pattern!r} is not a regular expression: {error}"
        ) from error
