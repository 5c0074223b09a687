# SPDX-License-Identifier: Apache-2.0
"""LaplacianPrivacy: a random part of the values leaves, each through the Laplace mechanism.

Dwork and Roth, "The algorithmic foundations of differential privacy" (2014), section 3.3. Old
archives name such a protocol and its arguments, and say nothing of its mathematics; this is
what is meant by them here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mmar_runner_privacy.base import NoisyFilter, is_floating
from mmar_runner_privacy.drawing import Drawing
from mmar_runner_privacy.noise import Noise

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmar_runner.interfaces.filter import FilterContext


class LaplacianPrivacy(NoisyFilter):
    """Lets a part of the values out, drawn whatever they are, with Laplace noise.

    With N values d in all floating tensors (each divided by ``steps``) and c = d cut to
    -gamma ... gamma: ceil(fraction / 100 N) of them are drawn without replacement. Each leaves
    as r = c + Lap(2 gamma / epsilon), cut to -gamma ... gamma, times ``steps``, or as 0 if |r|
    is below tau. Every other value is 0.

    Each value that leaves is so differentially private with ``epsilon``: drawing does not look
    at the values, and what is done to r looks at r alone. Of n values together the epsilon is
    n times as large.

    Args:
        fraction: Of the values that leave, in percent, in (0, 100].
        epsilon: Of one value, above 0.
        gamma: The largest change per step, above 0.
        tau: The smallest noisy change that leaves, not below 0.
        steps: Steps of the training that gamma is meant for each of; None is 1.
    """

    def __init__(
        self,
        fraction: float = 50.0,
        epsilon: float = 2.0,
        gamma: float = 1e-4,
        tau: float = 5e-5,
        steps: int | None = None,
    ) -> None:
        super().__init__(fraction, epsilon, gamma, tau, steps or 1)
        self._share = fraction / 100
        self._scale = 2 * gamma / epsilon
        self._gamma = gamma
        self._tau = tau
        self._steps = steps or 1

    def begin(self, context: FilterContext) -> None:
        """Forget the last update."""
        super().begin(context)
        self._size = 0
        self._drawing: Drawing | None = None

    def measure(self, name: str, tensor: npt.NDArray[Any]) -> None:
        """Count the values."""
        super().measure(name, tensor)
        self._size += tensor.size if is_floating(tensor) else 0

    def released(
        self, name: str, start: int, block: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return the drawn values with noise, and 0 for all others."""
        if self._drawing is None:
            wanted = math.ceil(self._share * self._size)
            self._drawing = Drawing(self._size, wanted, self.key)
            self._noise = Noise(self.key, "release")
        drawn = self._drawing.draw(name, start, np.ones(block.size, np.bool_))
        values = np.clip(block / self._steps, -self._gamma, self._gamma)
        noisy = values + self._noise.laplace(name, start, block.size, self._scale)
        kept = drawn & (np.abs(noisy) >= self._tau)
        return np.where(kept, np.clip(noisy, -self._gamma, self._gamma) * self._steps, 0.0)
