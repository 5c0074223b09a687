# SPDX-License-Identifier: Apache-2.0
"""Bulyan over Krum (El Mhamdi et al., 2018, arXiv:1802.07927).

Krum chooses theta = n - 2f updates, one after another, each among those that are left. Then every
coordinate is the mean of the beta = theta - 2f chosen values that are closest to the median of
the chosen ones; of two values that are equally close, the lesser. Every client counts once.

Towards the end fewer updates are left than Krum is defined for; a score then counts the one
closest other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mmar_runner_robust.coordinates import mean_of, median_of, middle
from mmar_runner_robust.krum import ByDistance
from mmar_runner_robust.rule import strides
from mmar_runner_robust.sorting import Rows, Sorter, stride_of


class Bulyan(ByDistance):
    """Krum again and again, then a trimmed mean around the median.

    Args:
        num_malicious: f: how many clients may send anything.
        exclude_vars: See `RobustRule`.

    Raises:
        ValueError: An argument is outside its range.
    """

    def __init__(self, num_malicious: int, exclude_vars: str | None = None) -> None:
        super().__init__(num_malicious, exclude_vars)
        self.min_updates = 4 * self.num_malicious + 3
        self._sorter = Sorter()

    def combine(
        self,
        name: str,  # noqa: ARG002 - the interface's signature
        tensors: npt.NDArray[Any],
        weights: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """Return the means around the medians of one block."""
        chosen = sorted(self.decision(weights))
        result = np.empty(tensors.shape[1], dtype=np.float64)
        places = tuple(range(len(chosen)))
        for part in strides(result.size, stride_of(len(chosen))):
            ordered = self._sorter.ordered(tensors[chosen, part], places)
            values = [row.astype(np.float64) for row in ordered]
            around = result[part]
            around_median(values, len(chosen) - 2 * self.num_malicious, around)
            np.add(around, 0.0, out=around)  # 0 and -0 are equal, and sorted as they come
        return result

    def decide(
        self, measured: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
    ) -> list[int]:
        """Return the places that Krum chooses, one after another."""
        left, chosen = list(range(len(weights))), list[int]()
        for _ in range(len(weights) - 2 * self.num_malicious):
            best = self.by_score(measured, left)[0]
            chosen.append(best)
            left.remove(best)
        return chosen


def around_median(ordered: Rows, kept: int, result: npt.NDArray[np.float64]) -> None:
    """Write the mean of the values closest to each coordinate's median into ``result``.

    In the order of size they lie side by side. A window of them begins at the least value, and
    moves on while the value that it would gain is closer than the one that it would lose.

    Args:
        ordered: All values, least first, float64.
        kept: How many of them count.
        result: Of the same shape as a row.
    """
    median = np.empty_like(result)
    median_of([ordered[place] for place in middle(len(ordered))], median)
    moves = np.ones(result.shape, dtype=np.bool_)
    mean_of(ordered[:kept], result)
    moved = np.empty_like(result)
    for start in range(len(ordered) - kept):
        lost, gained = ordered[start], ordered[start + kept]
        np.logical_and(moves, median - lost > gained - median, out=moves)
        if not moves.any():
            break
        mean_of(ordered[start + 1 : start + 1 + kept], moved)
        np.copyto(result, moved, where=moves)
