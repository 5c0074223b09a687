# SPDX-License-Identifier: Apache-2.0
"""LaplaceNoise and GaussianNoise: noise of a given size on every floating number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner_privacy.base import NoisyFilter
from mmar_runner_privacy.noise import Noise

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class LaplaceNoise(NoisyFilter):
    """Adds independent noise of the Laplace distribution (Dwork and Roth, 2014, section 3.3).

    Args:
        scale: b of its density exp(-|x|/b) / 2b, in units of the update; above 0. With the
            L1 distance of any two updates at most D, that is differential privacy with D / b.
    """

    def __init__(self, scale: float) -> None:
        super().__init__(scale)
        self._scale = scale

    def released(
        self, name: str, start: int, block: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return the block with noise."""
        noise = Noise(self.key, "release").laplace(name, start, block.size, self._scale)
        return block + noise


class GaussianNoise(NoisyFilter):
    """Adds independent noise of the normal distribution (Dwork and Roth, 2014, appendix A).

    Args:
        stddev: Its standard deviation, in units of the update; above 0.
    """

    def __init__(self, stddev: float) -> None:
        super().__init__(stddev)
        self._stddev = stddev

    def released(
        self, name: str, start: int, block: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return the block with noise."""
        noise = Noise(self.key, "release").normal(name, start, block.size, self._stddev)
        return block + noise
