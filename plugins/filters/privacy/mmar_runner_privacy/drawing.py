# SPDX-License-Identifier: Apache-2.0
"""Elements drawn without replacement from many that are seen once, a block at a time."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

import numpy as np

from mmar_runner.errors import TaskFailedError
from mmar_runner_privacy.noise import Noise

if TYPE_CHECKING:
    import numpy.typing as npt

#: More candidates, or more that are left over, are beyond what numpy can draw from.
_MOST: Final = 10**9


class Drawing:
    """Draws some of all candidates, every set of that size with the same probability.

    Of each block so many are drawn as the hypergeometric distribution says, given what is left
    to draw and to see: that is drawing from all of them at once, without knowing them.

    Args:
        candidates: How many will be seen in all.
        wanted: How many of them are drawn.
        key: 32 bytes: the same ones draw the same.

    Raises:
        TaskFailedError: There are too many.
    """

    def __init__(self, candidates: int, wanted: int, key: bytes) -> None:
        if candidates >= _MOST:
            raise TaskFailedError(f"of {candidates} candidates none can be drawn, only of 10^9")
        self._candidates = candidates
        self._wanted = wanted
        self._order = Noise(key, "order")
        seed = hmac.digest(key, b"counts", "sha256")
        self._counts = np.random.Generator(np.random.Philox(int.from_bytes(seed)))

    def draw(
        self, name: str, start: int, candidate: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Return which of a block's candidates are drawn.

        Args:
            name: The tensor.
            start: The block's first element.
            candidate: Which of its elements are candidates.
        """
        places = np.flatnonzero(candidate)
        rest = self._candidates - self._wanted
        count = int(self._counts.hypergeometric(self._wanted, rest, places.size))
        self._candidates -= places.size
        self._wanted -= count
        drawn = np.zeros(candidate.size, np.bool_)
        if count:
            order = self._order.uniform(name, start, candidate.size)[places]
            drawn[places[np.argpartition(order, count - 1)[:count]]] = True
        return drawn
