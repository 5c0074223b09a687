# SPDX-License-Identifier: Apache-2.0
"""Krum and Multi-Krum (Blanchard et al., 2017, NeurIPS).

An update's score is the sum of its squared distances to the n - f - 2 other updates that are
closest to it. Krum's result is the update of the least score, Multi-Krum's the mean of the m
updates of the least scores, each counting once. Equal scores go by the order of client names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mmar_runner_robust.measured import MeasuredRule
from mmar_runner_robust.rule import malicious, weighted_sum


class ByDistance(MeasuredRule[list[int]]):
    """A rule that chooses among the updates by their distances.

    Args:
        num_malicious: f: how many clients may send anything.
        exclude_vars: See `RobustRule`.

    Raises:
        ValueError: An argument is outside its range.
    """

    def __init__(self, num_malicious: int, exclude_vars: str | None = None) -> None:
        super().__init__(exclude_vars)
        self.num_malicious = malicious(num_malicious)

    def facts(self) -> Mapping[str, Any]:
        """Return whose updates were chosen."""
        return {"chosen": [self.clients[one] for one in sorted(self.decided or ())]}

    def by_score(self, squared: npt.NDArray[np.float64], among: Sequence[int]) -> list[int]:
        """Return places in the order of their scores among themselves, then of client names.

        Args:
            squared: The squared distances, ``[clients, clients]``.
            among: The places.
        """
        found = scores(squared, among, self.num_malicious)
        names = self.clients or [""] * len(squared)
        return [
            one for *_, one in sorted((s, names[i], i) for s, i in zip(found, among, strict=True))
        ]


class MultiKrum(ByDistance):
    """The mean of the updates with the least scores.

    Args:
        num_malicious: f: how many clients may send anything.
        num_selected: m: how many updates are averaged; None: all but f. If a round has fewer
            updates, all of them.
        exclude_vars: See `RobustRule`.

    Raises:
        ValueError: An argument is outside its range.
    """

    def __init__(
        self,
        num_malicious: int,
        num_selected: int | None = None,
        exclude_vars: str | None = None,
    ) -> None:
        super().__init__(num_malicious, exclude_vars)
        if num_selected is not None and num_selected < 1:
            raise ValueError(f"num_selected is {num_selected}, not at least 1")
        self._selected = num_selected
        self.min_updates = 2 * self.num_malicious + 3

    def combine(
        self,
        name: str,  # noqa: ARG002 - the interface's signature
        tensors: npt.NDArray[Any],
        weights: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """Return the mean of the chosen updates' block."""
        chosen = sorted(self.decision(weights))
        rows = [tensors[one] for one in chosen]
        total = weighted_sum(rows, [1.0] * len(rows), tensors.shape[1])
        return total if len(chosen) == 1 else np.divide(total, len(chosen), out=total)

    def decide(
        self, measured: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
    ) -> list[int]:
        """Return the places of those with the least scores, the best first."""
        number = self._selected or len(weights) - self.num_malicious
        return self.by_score(measured, range(len(weights)))[:number]


class Krum(MultiKrum):
    """The update with the least score.

    Args:
        num_malicious: f: how many clients may send anything.
        exclude_vars: See `RobustRule`.

    Raises:
        ValueError: An argument is outside its range.
    """

    def __init__(self, num_malicious: int, exclude_vars: str | None = None) -> None:
        super().__init__(num_malicious, 1, exclude_vars)


def scores(
    squared: npt.NDArray[np.float64], among: Sequence[int], num_malicious: int
) -> list[float]:
    """Return the scores of some updates among themselves.

    Each is the sum of the squared distances to the n - f - 2 closest others, at least one.

    Args:
        squared: Squared distances of all updates, ``[clients, clients]``.
        among: The places of those that are there.
        num_malicious: f.
    """
    counted = max(1, len(among) - num_malicious - 2)
    found = []
    for one in among:
        others = np.sort([squared[one, other] for other in among if other != one])
        found.append(float(np.add.reduce(others[:counted])))
    return found
