# SPDX-License-Identifier: Apache-2.0
"""A percentile of numbers that are seen three times and never kept.

The bits of floating numbers that are not negative stand in the numbers' own order. Each pass
counts 21 of their 63 bits, among the numbers that agree in those before: after three the
number at any rank is known exactly, with memory for two tables of counts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_BITS: Final = 21
_PASSES: Final = 3
_BINS: Final = 1 << _BITS
#: Of fewer numbers than that the ones that occur are counted, not all that could.
_FEW: Final = 1 << 17


class Percentile:
    """The percentile of all numbers together, interpolated between its two neighbours.

    Args:
        percent: 0 to 100.
    """

    def __init__(self, percent: float) -> None:
        self._percent = percent
        self._count = 0
        self._pass = 0
        self._ranks = [_Rank()]

    def see(self, numbers: npt.NDArray[np.float64]) -> None:
        """Count numbers, none below 0, in the pass under way."""
        bits = np.ascontiguousarray(numbers).reshape(-1).view(np.uint64)
        if not self._pass:
            self._count += bits.size
        for rank in self._ranks:
            rank.see(bits, self._pass)

    def again(self) -> bool:
        """End a pass; return True if all numbers must be seen once more."""
        if not self._count:
            return False
        if not self._pass:
            position = self._percent / 100 * (self._count - 1)
            places = math.floor(position), math.ceil(position)
            self._share = position - places[0]
            counts = self._ranks[0].counts
            self._ranks = [_Rank(place, counts) for place in places]
        for rank in self._ranks:
            rank.narrow()
        self._pass += 1
        return self._pass < _PASSES

    @property
    def value(self) -> float:
        """The percentile, after the last pass; 0 of no numbers."""
        if not self._count:
            return 0.0
        low, high = (rank.value for rank in self._ranks)
        return low + (high - low) * self._share


class _Rank:
    """The search for the number at one rank, counted from 0."""

    def __init__(self, rank: int = 0, counts: npt.NDArray[np.int64] | None = None) -> None:
        self._rank = rank
        self._prefix = 0
        self.counts = np.zeros(_BINS, np.int64) if counts is None else counts

    def see(self, bits: npt.NDArray[np.uint64], number: int) -> None:
        shift = np.uint64(_BITS * (_PASSES - 1 - number))
        tops = bits >> shift
        if number:
            tops = tops[tops >> np.uint64(_BITS) == self._prefix]
        bins = (tops & np.uint64(_BINS - 1)).astype(np.int64)
        if bins.size < _FEW:
            found, counted = np.unique(bins, return_counts=True)
            self.counts[found] += counted
        else:
            self.counts += np.bincount(bins, minlength=_BINS)

    def narrow(self) -> None:
        below = np.cumsum(self.counts)
        place = int(np.searchsorted(below, self._rank, side="right"))
        self._rank -= int(below[place - 1]) if place else 0
        self._prefix = (self._prefix << _BITS) | place
        self.counts = np.zeros(_BINS, np.int64)

    @property
    def value(self) -> float:
        return float(np.array([self._prefix], np.uint64).view(np.float64)[0])
