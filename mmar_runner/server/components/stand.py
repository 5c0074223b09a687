# SPDX-License-Identifier: Apache-2.0
"""What stands in the server process for an aggregator that lives in a child."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.aggregator import TensorwiseAggregator

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Stand(TensorwiseAggregator):
    """Says nothing of itself: what the rule is defined for, only its code knows."""

    def combine(
        self, name: str, tensors: npt.NDArray[Any], weights: npt.NDArray[np.float64]
    ) -> npt.NDArray[Any]:
        """Be asked by nobody."""
        raise NotImplementedError
