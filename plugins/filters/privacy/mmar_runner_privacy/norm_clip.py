# SPDX-License-Identifier: Apache-2.0
"""NormClip: the update as a whole is scaled down to a largest norm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.filter import Filter
from mmar_runner_privacy.base import blocks, is_floating

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmar_runner.interfaces.filter import FilterContext


class SquaredNorm:
    """The squared L2 norm over all floating tensors, summed block by block in float64."""

    def __init__(self) -> None:
        self._parts: list[float] = []

    def see(self, tensor: npt.NDArray[Any]) -> None:
        """Add a tensor; whole numbers and booleans do not count."""
        if is_floating(tensor):
            with np.errstate(over="ignore"):
                self._parts += (float(np.square(block).sum()) for block in blocks(tensor))

    def factor(self, most: float) -> float:
        """Return what the numbers are multiplied by so that their norm is at most ``most``.

        Raises:
            TaskFailedError: The norm is not finite.
        """
        # fsum would raise for what is infinite.
        total = sum(self._parts)
        norm = math.sqrt(math.fsum(self._parts)) if math.isfinite(total) else total
        if not math.isfinite(norm):
            raise TaskFailedError(
                "the norm of the update is not finite",
                hint="look for NaN in the data, or lower the learning rate",
            )
        return 1.0 if norm <= most else most / norm


class NormClip(Filter):
    """Bounds the L2 norm of the difference over all floating tensors together.

    A longer difference is scaled down to ``max_norm``, its direction kept; a shorter one, and
    whole numbers and booleans, stay as they are (McMahan et al., 2018, arXiv:1710.06963: flat
    clipping).

    Args:
        max_norm: The largest norm that leaves, above 0.
    """

    on_differences: ClassVar[bool] = True
    needs_measure: ClassVar[bool] = True

    def __init__(self, max_norm: float) -> None:
        self._most = max_norm
        self._norm = SquaredNorm()
        self._factor: float | None = None

    def begin(self, context: FilterContext) -> None:
        """Forget the last update."""
        del context
        self._norm = SquaredNorm()
        self._factor = None

    def measure(self, name: str, tensor: npt.NDArray[Any]) -> None:
        """Let a tensor count in the norm."""
        del name
        self._norm.see(tensor)

    def apply(self, name: str, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the tensor, scaled."""
        del name
        if self._factor is None:
            self._factor = self._norm.factor(self._most)
        if self._factor == 1 or not is_floating(tensor):
            return tensor
        return np.asarray(tensor * self._factor)
