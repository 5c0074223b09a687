# SPDX-License-Identifier: Apache-2.0
"""Norm clipping (Sun et al., 2019, arXiv:1911.07963).

A client's difference to the round's model is scaled down to a norm of at most ``max_norm``; the
differences are then averaged, weighted by samples. One site can move the model by no more than
``max_norm`` times its share, whatever it sends.

The norm is taken over the floating tensors; the whole update is scaled. Norms are known only once
every block was seen: the updates are read twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from mmar_runner_robust.measured import MeasuredRule
from mmar_runner_robust.rule import weighted_sum
from mmar_runner_robust.strides import SquaredNorms

Vector: TypeAlias = npt.NDArray[np.float64]


class NormClipping(MeasuredRule[Vector]):
    """The mean of clipped differences, weighted by samples.

    Args:
        max_norm: M: the largest Euclidean norm that a difference counts with, above 0.
        exclude_vars: See `RobustRule`.

    Raises:
        ValueError: An argument is outside its range.
    """

    on_differences: ClassVar[bool] = True
    measures = SquaredNorms
    by_samples = True

    def __init__(self, max_norm: float, exclude_vars: str | None = None) -> None:
        super().__init__(exclude_vars)
        if not (math.isfinite(max_norm) and max_norm > 0):
            raise ValueError(f"max_norm is {max_norm}, not a finite number above 0")
        self._max_norm = float(max_norm)

    def combine(
        self,
        name: str,  # noqa: ARG002 - the interface's signature
        tensors: npt.NDArray[Any],
        weights: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """Return the mean of one block's clipped differences."""
        scaled = weights * self.decision(weights)
        total = weighted_sum(tensors, scaled, tensors.shape[1])
        return np.divide(total, math.fsum(weights), out=total)

    def facts(self) -> Mapping[str, Any]:
        """Return by which factor updates were clipped; those that were not are left out."""
        factors = [] if self.decided is None else self.decided.tolist()
        pairs = zip(self.clients, factors, strict=False)
        return {"clipped": {client: factor for client, factor in pairs if factor < 1}}

    def decide(self, measured: Vector, weights: Vector) -> Vector:
        """Return a factor for each update by its squared norm, 1 for those that are short enough.

        A norm beyond all numbers leaves nothing of its update.
        """
        del weights
        factors: Vector = self._max_norm / np.maximum(np.sqrt(measured), self._max_norm)
        return factors
