# SPDX-License-Identifier: Apache-2.0
"""SVTPrivacy: values are chosen by the sparse vector technique, and leave with noise.

Dwork and Roth, "The algorithmic foundations of differential privacy" (2014), section 3.6;
Shokri and Shmatikov, "Privacy-preserving deep learning" (CCS 2015), figure 12; Li et al.,
"Privacy-preserving federated brain tumour segmentation" (2019, arXiv:1910.00962).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mmar_runner.errors import TaskFailedError
from mmar_runner_privacy.base import NoisyFilter, blocks, is_floating
from mmar_runner_privacy.drawing import Drawing
from mmar_runner_privacy.noise import Noise, laplace_above

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmar_runner.interfaces.filter import FilterContext

#: Passes over all values after which so few are above the threshold that it is a mistake.
_MOST_PASSES: Final = 1 << 16


class SVTPrivacy(NoisyFilter):
    """Lets a fraction of the values out, of those that are above a noisy threshold.

    With N values d in all floating tensors (each divided by ``steps``), n = ceil(fraction N),
    e1 = epsilon, e2 = e1 (2 n)^(2/3), and c = d cut to -gamma ... gamma:

    1. The threshold is tau + Lap(2 gamma / e1).
    2. All values are asked, each time with new noise, whether |c| + Lap(4 gamma n / e2) is at
       least the threshold, until n or more were accepted at least once.
    3. Of the accepted n are drawn, without replacement; each leaves as c + Lap(2 gamma /
       noise_var), cut to -gamma ... gamma, times ``steps``. Every other value is 0.

    How often a value would have to be asked is drawn at once (it is geometrically distributed),
    which is the same as asking again and again.

    Args:
        fraction: Of the values that leave, in (0, 1].
        epsilon: e1, above 0.
        noise_var: The epsilon of the released values, above 0; the name is that of old files.
        gamma: The largest change per step, above 0.
        tau: The threshold, not below 0.
        steps: Steps of the training that gamma is meant for each of; None is 1.
    """

    def __init__(
        self,
        *,
        fraction: float = 0.1,
        epsilon: float = 0.1,
        noise_var: float = 0.1,
        gamma: float = 1e-5,
        tau: float = 1e-6,
        steps: int | None = None,
    ) -> None:
        super().__init__(fraction, epsilon, noise_var, gamma, tau, steps or 1)
        self._fraction = fraction
        self._epsilon = epsilon
        self._release_scale = 2 * gamma / noise_var
        self._gamma = gamma
        self._tau = tau
        self._steps = steps or 1

    def begin(self, context: FilterContext) -> None:
        """Forget the last update."""
        super().begin(context)
        self._size = 0
        self._asking: _Asking | None = None
        self._drawing: Drawing | None = None

    def measure(self, name: str, tensor: npt.NDArray[Any]) -> None:
        """Count the values, then, in a second pass, how often each has to be asked."""
        if self._asking is None:
            super().measure(name, tensor)
            self._size += tensor.size if is_floating(tensor) else 0
            return
        if is_floating(tensor):
            start = 0
            for block in blocks(tensor):
                self._asking.count(name, start, self._cut(block))
                start += block.size

    def measures_again(self) -> bool:
        """Return True once: the key depends on all values, and the threshold on the key."""
        if not self._size:
            return False
        wanted = math.ceil(self._fraction * self._size)
        if self._asking is None:
            threshold = Noise(self.key, "threshold").laplace("", 0, 1, 2 * self._gamma)[0]
            threshold = self._tau + threshold / self._epsilon
            scale = 4 * self._gamma * wanted / (self._epsilon * (2 * wanted) ** (2 / 3))
            self._asking = _Asking(Noise(self.key, "asking"), float(threshold), scale)
            return True
        accepted = self._asking.stop_at(wanted)
        self._drawing = Drawing(accepted, wanted, self.key)
        self._noise = Noise(self.key, "release")
        return False

    def released(
        self, name: str, start: int, block: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return the drawn values with noise, and 0 for all others."""
        assert self._asking is not None  # noqa: S101 - there are values, so they were measured
        assert self._drawing is not None  # noqa: S101
        values = self._cut(block)
        drawn = self._drawing.draw(name, start, self._asking.accepts(name, start, values))
        noisy = values + self._noise.laplace(name, start, block.size, self._release_scale)
        return np.where(drawn, np.clip(noisy, -self._gamma, self._gamma) * self._steps, 0.0)

    def _cut(self, block: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.clip(block / self._steps, -self._gamma, self._gamma)


class _Asking:
    """In which pass over all values each one is accepted first."""

    def __init__(self, noise: Noise, threshold: float, scale: float) -> None:
        self._noise = noise
        self._threshold = threshold
        self._scale = scale
        self._accepted = np.zeros(_MOST_PASSES + 1, np.int64)
        self._last = 0

    def count(self, name: str, start: int, values: npt.NDArray[np.float64]) -> None:
        """See values before any is accepted."""
        passes, counted = np.unique(self._passes(name, start, values), return_counts=True)
        self._accepted[passes] += counted

    def stop_at(self, wanted: int) -> int:
        """Stop after the pass with which enough are accepted; return how many those are.

        Raises:
            TaskFailedError: There will never be enough.
        """
        accepted = np.cumsum(self._accepted[:_MOST_PASSES])
        self._last = int(np.searchsorted(accepted, wanted))
        if self._last == _MOST_PASSES:
            raise TaskFailedError(
                f"SVTPrivacy finds fewer than {wanted} values that come near its threshold",
                hint="lower tau or fraction, or raise gamma: the noise is far below tau",
            )
        return int(accepted[self._last])

    def accepts(
        self, name: str, start: int, values: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        """Return which values are accepted until then."""
        return np.asarray(self._passes(name, start, values) <= self._last)

    def _passes(
        self, name: str, start: int, values: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.int64]:
        chance = laplace_above((self._threshold - np.abs(values)) / self._scale)
        number = self._noise.uniform(name, start, values.size)
        # Geometric: P(more than k passes) = (1 - chance)^k.
        with np.errstate(divide="ignore"):
            passes = np.ceil(np.log(number) / np.log1p(-chance))
        return np.clip(passes, 1, _MOST_PASSES).astype(np.int64)
