# SPDX-License-Identifier: Apache-2.0
"""The geometric median, by smoothed Weiszfeld iterations (Pillutla et al., 2019, arXiv:1912.13445).

It is the point whose weighted distances to the updates have the least sum. Every iterate is a
convex combination z of the updates, so distances between the updates, measured once, say all:

    |z - x_j|^2 = sum_i w_i D_ij - 1/2 sum_ik w_i w_k D_ik

The updates themselves are read again only for the result. As in the paper an update weighs as
many samples as it was trained on, unless ``weighted`` says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mmar_runner_robust.measured import MeasuredRule
from mmar_runner_robust.rule import weighted_sum

#: How much farther away than most an update may be before float64 loses the others beside it.
_FARTHEST: Final = 1e8
#: Weights that change by no more have been found.
_SETTLED: Final = 1e-13

Vector = npt.NDArray[np.float64]


class GeometricMedian(MeasuredRule[Vector]):
    """The geometric median of the updates, each taken as one point.

    Args:
        weighted: Whether an update weighs as many samples as it was trained on, as in the paper;
            else each counts once, and a site gains nothing by claiming many samples.
        iterations: The most that are made; they end once nothing changes any more.
        smoothing: nu: a distance below it counts as it, so that nothing is divided by 0.
        exclude_vars: See `RobustRule`.

    Raises:
        ValueError: An argument is outside its range.
    """

    def __init__(
        self,
        weighted: bool = True,  # noqa: FBT001, FBT002 - an argument of an MMAR
        iterations: int = 100,
        smoothing: float = 1e-6,
        exclude_vars: str | None = None,
    ) -> None:
        super().__init__(exclude_vars)
        if iterations < 1:
            raise ValueError(f"iterations is {iterations}, not at least 1")
        if not (math.isfinite(smoothing) and smoothing > 0):
            raise ValueError(f"smoothing is {smoothing}, not a finite number above 0")
        self.by_samples = bool(weighted)
        self._iterations = iterations
        self._smoothing = float(smoothing)

    def combine(
        self,
        name: str,  # noqa: ARG002 - the interface's signature
        tensors: npt.NDArray[Any],
        weights: Vector,
    ) -> Vector:
        """Return one block of the median."""
        shares = self.decision(weights)
        total = weighted_sum(tensors, shares, tensors.shape[1])
        return np.divide(total, math.fsum(shares), out=total)

    def facts(self) -> Mapping[str, Any]:
        """Return the share that each update has in the median."""
        shares = [] if self.decided is None else self.decided.tolist()
        return {"weights": dict(zip(self.clients, shares, strict=False))}

    def decide(self, measured: Vector, weights: Vector) -> Vector:
        """Return the share of each update in the median, by their squared distances."""
        return weiszfeld(
            measured,
            weights / math.fsum(weights),
            iterations=self._iterations,
            smoothing=self._smoothing,
        )


def weiszfeld(squared: Vector, shares: Vector, *, iterations: int, smoothing: float) -> Vector:
    """Return the weights of the smoothed geometric median as a combination of the points.

    Args:
        squared: Squared distances between the points, ``[points, points]``.
        shares: What each point weighs; their sum is 1.
        iterations: The most that are made.
        smoothing: The least that a distance counts.
    """
    shares = shares * _within_sight(squared, shares)
    shares = shares / math.fsum(shares)
    squared = np.where(shares[:, None] * shares[None, :] > 0, squared, 0.0)
    weights = shares
    for _ in range(iterations):
        to_points = _product(squared, weights)
        middle = 0.5 * float(np.add.reduce(weights * to_points))
        distances = np.sqrt(np.maximum(to_points - middle, 0.0))
        pulls = shares / np.maximum(distances, smoothing)
        found = pulls / math.fsum(pulls)
        if float(np.abs(found - weights).max()) <= _SETTLED:
            return found
        weights = found
    return weights


def _within_sight(squared: Vector, shares: Vector) -> Vector:
    """Return 1 for the points that count, and 0 for those that are hopelessly far away.

    Beside numbers of their size the distances between the others are lost in rounding, and the
    median would follow them. Distances are judged from the point whose own are the least.
    """
    distances = np.sqrt(squared)
    with np.errstate(invalid="ignore"):
        costs = [float(np.add.reduce(row[shares > 0] * shares[shares > 0])) for row in distances]
    centre = int(np.argmin(costs))
    best = distances[centre]
    order = np.argsort(best, kind="stable")
    half = int(np.searchsorted(np.cumsum(shares[order]), 0.5, side="right"))
    usual = best[order][min(half, len(order) - 1)]
    if not np.isfinite(usual):  # no two that are near each other have half of the weight
        return np.asarray(np.arange(len(shares)) == centre, dtype=np.float64)
    return np.asarray((best <= usual * _FARTHEST) & np.isfinite(best), dtype=np.float64)


def _product(matrix: Vector, vector: Vector) -> Vector:
    """Return matrix times vector, without BLAS."""
    return np.array([np.add.reduce(row * vector) for row in matrix])
