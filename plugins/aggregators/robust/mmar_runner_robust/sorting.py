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
_CACHE_BYTES: Final = 256 << 10

Rows = Sequence[npt.NDArray[Any]]
#: Two places, and whether the lesser and the greater of their values are asked for.
Comparator = tuple[int, int, bool, bool]


def stride_of(rows: int) -> int:
    """Return how many elements of so many rows are sorted at a time."""
    return max(1024, _CACHE_BYTES // (4 * rows))


class Sorter:
    """Sorts rows, and keeps the memory for it."""

    def __init__(self) -> None:
        self._memory: dict[tuple[np.dtype[Any], int, int], list[npt.NDArray[Any]]] = {}

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
        place: list[npt.NDArray[Any]] = list(rows)
        free = list(self._scratch(rows))
        own = {id(one) for one in free}
        for low, high, lesser, greater in network(len(place), wanted):
            first, second = place[low], place[high]
            if lesser:
                place[low] = np.minimum(first, second, out=free.pop())
            if greater:
                place[high] = np.maximum(first, second, out=free.pop())
            free += [one for one in (first, second) if id(one) in own]
        return [place[one] for one in wanted]

    def _scratch(self, rows: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        key = (rows.dtype, *rows.shape)
        if key not in self._memory:
            self._memory.clear()
            self._memory[key] = list(np.empty((len(rows) + 2, rows.shape[1]), dtype=rows.dtype))
        return self._memory[key]


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
