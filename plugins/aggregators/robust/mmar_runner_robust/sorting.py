# SPDX-License-Identifier: Apache-2.0
"""All updates' values of each element, in order of size.

Few rows are sorted by a network of comparators (Batcher, 1968: odd-even merge sort): a
comparator is one minimum and one maximum of whole rows, which processors do many elements at a
time, on pieces that stay in their cache. Comparators whose outcome nobody asks for are left out.
Many rows are turned and sorted element by element.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

#: The most rows that a network sorts; its comparators grow faster than the rows.
MOST_IN_NETWORK: Final = 24
#: Bytes of the rows that are sorted at a time.
_CACHE_BYTES: Final = 512 << 10

Rows = Sequence[npt.NDArray[Any]]
#: Two places, and whether the lesser and the greater of their values are asked for.
Comparator = tuple[int, int, bool, bool]
#: A minimum or maximum, the rooms that it reads, and the room that it writes.
Step = tuple[np.ufunc, int, int, int]


def stride_of(rows: int) -> int:
    """Return how many elements of so many rows are sorted at a time."""
    return max(1024, _CACHE_BYTES // (4 * rows))


class Sorter:
    """Sorts rows, and keeps the memory for it."""

    def __init__(self) -> None:
        self._key: tuple[np.dtype[Any], int, int] | None = None
        self._memory: Sequence[npt.NDArray[Any]] = []

    def ordered(self, rows: npt.NDArray[Any], wanted: tuple[int, ...]) -> Rows:
        """Return some of the rows that sorting every column gives.

        Args:
            rows: Shape ``[clients, count]``, finite; left as it is.
            wanted: Which, 0 being that of the least values, ascending.

        Returns:
            Each of shape ``[count]``, in a dtype that holds every value. They may lie in memory
            that the next call writes over.
        """
        found = np.asarray(rows).astype(_workable(rows.dtype), copy=False)
        if len(found) <= MOST_IN_NETWORK:
            return self._by_network(found, wanted)
        turned = np.ascontiguousarray(found.T)
        if len(wanted) <= 2:  # noqa: PLR2004 - a median's
            turned.partition(wanted, axis=1)
        else:
            turned.sort(axis=1)
        return [turned[:, place] for place in wanted]

    def _by_network(self, rows: npt.NDArray[Any], wanted: tuple[int, ...]) -> Rows:
        steps, places, memory = program(len(rows), wanted)
        rooms = [*rows, *self._scratch(rows, memory)]
        for function, first, second, result in steps:
            function(rooms[first], rooms[second], out=rooms[result])
        return [rooms[place] for place in places]

    def _scratch(self, rows: npt.NDArray[Any], number: int) -> Sequence[npt.NDArray[Any]]:
        """Return so many rows to write to, each like those."""
        key = (rows.dtype, number, rows.shape[1])
        if key != self._key:
            self._key = key
            self._memory = list(np.empty((number, rows.shape[1]), dtype=rows.dtype))
        return self._memory


@lru_cache(maxsize=64)
def program(rows: int, wanted: tuple[int, ...]) -> tuple[tuple[Step, ...], tuple[int, ...], int]:
    """Return the steps that a network takes, where they leave what is wanted, and their memory.

    Rooms 0 to ``rows`` - 1 are the rows that come in, which are only read; the others are
    memory, taken again as soon as nobody needs what is in it.

    Args:
        rows: How many are sorted.
        wanted: Which places are asked for.
    """
    at, free, used, steps = list(range(rows)), list[int](), rows, list[Step]()
    for low, high, lesser, greater in network(rows, wanted):
        first, second = at[low], at[high]
        for place, asked, function in ((low, lesser, np.minimum), (high, greater, np.maximum)):
            if asked:
                if not free:
                    free.append(used)
                    used += 1
                at[place] = free.pop()
                steps.append((function, first, second, at[place]))
        free += [room for room in (first, second) if room >= rows]
    return tuple(steps), tuple(at[place] for place in wanted), used - rows


@lru_cache(maxsize=64)
def network(rows: int, wanted: tuple[int, ...]) -> tuple[Comparator, ...]:
    """Return the comparators that bring the wanted rows to their places.

    Args:
        rows: How many are sorted.
        wanted: Which places are asked for.
    """
    alive, found = set(wanted), []
    for low, high in reversed(_odd_even_merge_sort(rows)):
        lesser, greater = low in alive, high in alive
        if lesser or greater:
            found.append((low, high, lesser, greater))
            alive |= {low, high}
    return tuple(reversed(found))


def _odd_even_merge_sort(rows: int) -> list[tuple[int, int]]:
    """Return Batcher's comparators; those beyond the last row would compare with infinity."""
    found = []
    size = 1
    while size < rows:
        step = size
        while step >= 1:
            for start in range(step % size, rows - step, 2 * step):
                found += [
                    (low, low + step)
                    for low in range(start, min(start + step, rows - step))
                    if low // (2 * size) == (low + step) // (2 * size)
                ]
            step //= 2
        size *= 2
    return found


def _workable(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which values are compared: one that processors compare many of."""
    if dtype == np.bool_:
        return np.dtype(np.uint8)
    if dtype.itemsize >= 4 or np.issubdtype(dtype, np.integer):  # noqa: PLR2004 - float32
        return dtype
    return np.dtype(np.float32)  # holds every float16 and bfloat16
