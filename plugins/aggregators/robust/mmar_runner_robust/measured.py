# SPDX-License-Identifier: Apache-2.0
"""Rules that read the updates twice: to measure them, and to combine what follows from it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from mmar_runner_robust.rule import RobustRule
from mmar_runner_robust.strides import SquaredDistances, Strided

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mmar_runner.interfaces.aggregator import AggregationContext

Decision = TypeVar("Decision")


class MeasuredRule(RobustRule, Generic[Decision]):
    """A rule that decides once for all tensors, by sums over whole updates.

    Attributes:
        measures: What is summed in the first pass; its memory is that of clients squared at the
            most, and a stride.
        decided: What was decided in this walk; None before the first block is combined.

    Args:
        exclude_vars: See `RobustRule`.
    """

    needs_measure: ClassVar[bool] = True
    measures: ClassVar[type[Strided]] = SquaredDistances

    def __init__(self, exclude_vars: str | None = None) -> None:
        super().__init__(exclude_vars)
        self.decided: Decision | None = None
        self._sums: Strided | None = None

    def begin(self, context: AggregationContext) -> None:
        """Forget what was measured and decided in another walk."""
        super().begin(context)
        self.decided = self._sums = None

    def measure(
        self, name: str, tensors: npt.NDArray[Any], weights: npt.NDArray[np.float64]
    ) -> None:
        """Add a block to the sums, if its tensor counts."""
        if self._sums is None:
            self._sums = self.measures(len(weights))
        if self.counts(name, tensors):
            self._sums.see(tensors)

    def decision(self, weights: npt.NDArray[np.float64]) -> Decision:
        """Return what is decided for this walk.

        Args:
            weights: One an update, in the order of client names.
        """
        if self.decided is None:
            sums = self._sums or self.measures(len(weights))
            self.decided = self.decide(sums.found(), weights)
        return self.decided

    @abstractmethod
    def decide(
        self, measured: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
    ) -> Decision:
        """Decide by the sums; called once in a walk.

        Args:
            measured: ``[clients, clients]`` for distances, ``[clients]`` for norms.
            weights: ``[clients]``.
        """
