# SPDX-License-Identifier: Apache-2.0
"""Numbers by round: kept in little memory, thinned for a picture, summed up for a table. Pure."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: No number is drawn beyond: the distance of two of them is still a number.
_MOST: Final = 1e300


def number(value: object) -> float:
    """Return a number as a file gave it; NaN for anything that is none."""
    if type(value) is float and -_MOST <= value <= _MOST:  # nearly always, millions of times
        return value
    if type(value) not in {int, float}:
        return math.nan
    try:
        found = float(value)  # type: ignore[arg-type]
    except OverflowError:
        return math.nan
    return max(-_MOST, min(found, _MOST)) if math.isfinite(found) else math.nan


class Points:
    """One number for each of some rounds, in the order of rounds; NaN where none was said.

    Args:
        rounds: The rounds; several `Points` may share them.
        values: The number of each.
    """

    __slots__ = ("rounds", "values")

    def __init__(self, rounds: array[int] | None = None, values: Iterable[float] = ()) -> None:
        self.rounds = array("q") if rounds is None else rounds
        self.values = array("d", values)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        """Yield round and number, where there is one."""
        pairs = zip(self.rounds, self.values, strict=True)
        return (pair for pair in pairs if pair[1] == pair[1])

    def __len__(self) -> int:
        """Return of how many rounds something is on record."""
        return len(self.values)

    def cut(self, first: int) -> None:
        """Forget a round and what comes after it."""
        where = bisect_left(self.rounds, first)
        del self.rounds[where:]
        del self.values[where:]

    @property
    def numbers(self) -> list[float]:
        """All numbers."""
        return [value for value in self.values if value == value]  # noqa: PLR0124 - no NaN

    @property
    def last(self) -> float | None:
        """The number of the last round."""
        numbers = self.numbers
        return numbers[-1] if numbers else None

    @property
    def total(self) -> float:
        """The sum of all."""
        return sum(self.numbers)

    @property
    def middle(self) -> float | None:
        """The median."""
        numbers = self.numbers
        return median(numbers) if numbers else None


def thinned(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """Return fewer points that look the same: of every stretch of rounds the extremes.

    Args:
        points: In the order of rounds.
        most: About how many are kept; the first and the last are among them.
    """
    if len(points) <= most:
        return list(points)
    size = math.ceil(2 * len(points) / most)
    kept = {points[0], points[-1]}
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        kept.add(min(stretch, key=lambda point: point[1]))
        kept.add(max(stretch, key=lambda point: point[1]))
    return sorted(kept)


def stretches(first: int, last: int, most: int) -> list[range]:
    """Divide rounds into at most so many stretches of one length.

    Args:
        first: The first round.
        last: The last one.
        most: How many stretches there may be.
    """
    size = max(1, math.ceil((last - first + 1) / most))
    return [range(at, min(at + size, last + 1)) for at in range(first, last + 1, size)]


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the number below which a share of some numbers lies.

    Args:
        ordered: At least one number, sorted.
        share: From 0 to 1.
    """
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
