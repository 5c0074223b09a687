# SPDX-License-Identifier: Apache-2.0
"""FedAvg (McMahan et al., 2017, arXiv:1602.05629): the weighted mean of the updates.

Every bit of the result is determined: updates are summed unnormalised in float64, in
client order, element by element, and the sum is divided once. No BLAS, whose order of
summation depends on machine and threads. A tree of combiners can therefore add partial
sums and divide at its root.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from mmar_runner.errors import RunFailedError
from mmar_runner.interfaces.aggregator import Contribution, TensorwiseAggregator

#: Elements handled at a time: input, product and sum of so many stay in the L2 cache.
_STRIDE: Final = 16 * 1024


class FedAvg(TensorwiseAggregator):
    """The mean of the updates, weighted by aggregation weight times samples.

    Args:
        aggregation_weights: Weight by client name, >= 0; 1 for a client not named.
        exclude_vars: Regular expression, searched in tensor names; what matches keeps
            the global model's value. None or empty excludes nothing.
        expected_data_kind: ``WEIGHTS`` or ``WEIGHT_DIFF`` if updates must be that.

    Raises:
        ValueError: A weight is negative or not finite, or the expression is invalid.
    """

    foldable: ClassVar[bool] = True
    composes: ClassVar[bool] = True

    def __init__(
        self,
        aggregation_weights: Mapping[str, float] | None = None,
        exclude_vars: str | None = None,
        expected_data_kind: str | None = None,
    ) -> None:
        self._client_weights = dict(aggregation_weights or {})
        self._exclude = _compiled(exclude_vars) if exclude_vars else None
        self._expected_kind = expected_data_kind.lower() if expected_data_kind else None
        self._product = np.empty(_STRIDE, dtype=np.float64)
        for client, weight in self._client_weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"aggregation weight of {client!r} is {weight}, not >= 0")

    def weigh(self, contributions: Sequence[Contribution]) -> Sequence[float]:
        """Return aggregation weight times samples, for each contribution.

        Raises:
            RunFailedError: Every weight is 0, or an update is not of the expected kind.
        """
        for contribution in contributions:
            self._check_kind(contribution)
        weights = [
            float(self._client_weights.get(c.client, 1.0)) * float(c.num_samples)
            for c in contributions
        ]
        if not any(weights):
            clients = ", ".join(c.client for c in contributions)
            raise RunFailedError(
                f"every update of this round has weight 0 (clients: {clients})",
                hint="give at least one of them a positive weight in aggregation_weights",
            )
        return weights

    def excludes(self, name: str) -> bool:
        """Return True if ``exclude_vars`` is found in the tensor's name."""
        return self._exclude is not None and self._exclude.search(name) is not None

    def combine(
        self, name: str, tensors: npt.NDArray[Any], weights: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return the weighted mean of one block, ``[clients, block]`` to ``[block]``."""
        accumulator = np.zeros(tensors.shape[1], dtype=np.float64)
        for start in range(0, accumulator.size, _STRIDE):
            part = accumulator[start : start + _STRIDE]
            for row, weight in zip(tensors, weights, strict=True):
                self._add(part, row[start : start + _STRIDE], weight)
        return self.finish(accumulator, name, weights)

    def fold(
        self,
        accumulator: npt.NDArray[np.float64],
        name: str,  # noqa: ARG002 - the interface's signature
        tensor: npt.NDArray[Any],
        weight: float,
    ) -> None:
        """Add weight times the block to the accumulator, in place."""
        for start in range(0, accumulator.size, _STRIDE):
            stop = start + _STRIDE
            self._add(accumulator[start:stop], tensor[start:stop], weight)

    def finish(
        self,
        accumulator: npt.NDArray[np.float64],
        name: str,  # noqa: ARG002 - the interface's signature
        weights: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """Divide by the sum of the weights; the accumulator becomes the result."""
        # fsum is exact before its one rounding, so the divisor knows no order.
        return np.divide(accumulator, math.fsum(weights), out=accumulator)

    def _add(
        self, accumulator: npt.NDArray[np.float64], part: npt.NDArray[Any], weight: float
    ) -> None:
        # Cast, multiply and add are three steps with one scratch buffer: a mixed-type
        # ufunc would cast through a small buffer of its own and allocate.
        product = self._product[: part.size]
        product[...] = part
        np.multiply(product, weight, out=product)
        np.add(accumulator, product, out=accumulator)

    def _check_kind(self, contribution: Contribution) -> None:
        if self._expected_kind not in {None, contribution.kind.value}:
            raise RunFailedError(
                f"the update of {contribution.client} holds {contribution.kind},"
                f" but expected_data_kind is {self._expected_kind}",
                hint="change expected_data_kind of the aggregator, or what the trainer sends",
            )


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        message = f"exclude_vars {pattern!r} is not a regular expression: {error}"
        raise ValueError(message) from error
