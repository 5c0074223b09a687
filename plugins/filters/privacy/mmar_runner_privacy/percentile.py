# SPDX-License-Identifier: Apache-2.0
"""PercentilePrivacy: only the largest changes leave, and those bounded.

The method of Shokri and Shmatikov, "Privacy-preserving deep learning" (CCS 2015), as Li et
al., "Privacy-preserving federated brain tumour segmentation" (2019, arXiv:1910.00962), use it.
It shares less. It is no differential privacy: which values leave depends on the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mmar_runner_privacy.base import DifferenceFilter, blocks, is_floating
from mmar_runner_privacy.order_statistic import Percentile

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmar_runner.interfaces.filter import FilterContext


class PercentilePrivacy(DifferenceFilter):
    """Keeps the changes that are at least the percentile of all, cut to a range.

    With d the difference divided by ``steps``, and the cutoff the percentile of |d| over all
    floating tensors together: values with |d| < cutoff become 0, the others are cut to
    -gamma ... gamma, and all are multiplied by ``steps`` again.

    Args:
        percentile: 0 to 100; the share of values that become 0, in percent.
        gamma: The largest change per step that leaves, above 0.
        steps: Steps of the training that gamma is meant for each of; None is 1.
    """

    needs_measure: ClassVar[bool] = True

    def __init__(
        self, percentile: float = 10.0, gamma: float = 0.01, steps: int | None = None
    ) -> None:
        self._percent = percentile
        self._gamma = gamma
        self._steps = steps or 1
        self._percentile = Percentile(percentile)

    def begin(self, context: FilterContext) -> None:
        """Forget the last update."""
        del context
        self._percentile = Percentile(self._percent)

    def measure(self, name: str, tensor: npt.NDArray[Any]) -> None:
        """Count the sizes of a tensor's changes."""
        del name
        if is_floating(tensor):
            for block in blocks(tensor):
                self._percentile.see(np.abs(block / self._steps))

    def measures_again(self) -> bool:
        """Return True until the percentile is known."""
        return self._percentile.again()

    def released(
        self,
        name: str,  # noqa: ARG002 - all tensors alike
        start: int,  # noqa: ARG002
        block: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """Return large changes, cut, and 0 for small ones."""
        changes = block / self._steps
        kept = np.abs(changes) >= self._percentile.value
        cut = np.clip(changes, -self._gamma, self._gamma) * self._steps
        return np.where(kept, cut, 0.0)
