# SPDX-License-Identifier: Apache-2.0
"""Rules that take every coordinate by itself (Yin et al., 2018, arXiv:1803.01498).

Nothing is summed over coordinates, so one pass over the updates does. Every client counts once.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from mmar_runner_robust.rule import RobustRule, malicious, strides
from mmar_runner_robust.sorting import Rows, Sorter, stride_of


class _Ordered(RobustRule):
    """A function of some of a coordinate's values in order of size."""

    def __init__(self, exclude_vars: str | None = None) -> None:
        super().__init__(exclude_vars)
        self._sorter = Sorter()

    def combine(
        self,
        name: str,  # noqa: ARG002 - the interface's signature
        tensors: npt.NDArray[Any],
        weights: npt.NDArray[np.float64],  # noqa: ARG002
    ) -> npt.NDArray[np.float64]:
        """Combine one block, ``[clients, block]`` to ``[block]``."""
        clients, count = tensors.shape
        result = np.empty(count, dtype=np.float64)
        wanted = self._wanted(clients)
        for part in strides(count, stride_of(clients)):
            values = result[part]
            self._of(self._sorter.ordered(tensors[:, part], wanted), values)
            # Sorting takes 0 and -0 for equal: which of them is where depends on the processor.
            np.add(values, 0.0, out=values)
        return result

    @abstractmethod
    def _wanted(self, clients: int) -> tuple[int, ...]:
        """Return which places of the order are looked at."""

    @abstractmethod
    def _of(self, ordered: Rows, result: npt.NDArray[np.float64]) -> None:
        """Write the function of the values at these places into ``result``."""


class Median(_Ordered):
    """The median of every coordinate; of an even number, the mean of the two in the middle.

    Args:
        exclude_vars: See `RobustRule`.
    """

    def _wanted(self, clients: int) -> tuple[int, ...]:
        return middle(clients)

    def _of(self, ordered: Rows, result: npt.NDArray[np.float64]) -> None:
        median_of(ordered, result)


class TrimmedMean(_Ordered):
    """The mean of every coordinate without its smallest and its largest values.

    Args:
        num_malicious: f: so many are left out at either end.
        exclude_vars: See `RobustRule`.

    Raises:
        ValueError: An argument is outside its range.
    """

    def __init__(self, num_malicious: int, exclude_vars: str | None = None) -> None:
        super().__init__(exclude_vars)
        self._trimmed = malicious(num_malicious)
        self.min_updates = 2 * self._trimmed + 1

    def _wanted(self, clients: int) -> tuple[int, ...]:
        return tuple(range(self._trimmed, clients - self._trimmed))

    def _of(self, ordered: Rows, result: npt.NDArray[np.float64]) -> None:
        mean_of(ordered, result)


def middle(rows: int) -> tuple[int, ...]:
    """Return the one or two places in the middle of so many."""
    first, last = (rows - 1) // 2, rows // 2
    return (first,) if first == last else (first, last)


def median_of(middles: Rows, result: npt.NDArray[np.float64]) -> None:
    """Write the mean of one or two rows into ``result``."""
    result[...] = middles[0]
    if len(middles) > 1:
        other = middles[1].astype(np.float64)
        if middles[0].dtype == np.float64:  # the sum of the largest has no room; their halves do
            np.multiply(result, 0.5, out=result)
            np.multiply(other, 0.5, out=other)
            np.add(result, other, out=result)
        else:
            np.add(result, other, out=result)
            np.multiply(result, 0.5, out=result)


def mean_of(rows: Rows, result: npt.NDArray[np.float64]) -> None:
    """Write the mean of rows into ``result``, summed in their order."""
    result[...] = rows[0]
    scratch = np.empty_like(result)
    for row in rows[1:]:
        if row.dtype != np.float64:
            scratch[...] = row
        np.add(result, scratch if row.dtype != np.float64 else row, out=result)
    np.divide(result, len(rows), out=result)
