# SPDX-License-Identifier: Apache-2.0
"""What releases with Gaussian noise spend together, by mathematics alone.

Several Gaussian mechanisms are one with less noise (Dong, Roth and Su, 2019, arXiv:1905.02383);
the epsilon of one is known exactly (Balle and Wang, 2018, arXiv:1805.06530, theorem 8). Whoever
spends counts by a library; this is for those who may import none and only look ahead.
"""

from __future__ import annotations

import math
from typing import Final

#: Halvings of an interval: more change nothing in a float.
_HALVINGS: Final = 200
#: From here on a tail is told by its series, exact to 1e-10.
_FAR: Final = 30.0


def gaussian_epsilon(noise: float, releases: int, delta: float) -> float:
    """Return the epsilon of releases in which everybody took part.

    Args:
        noise: Standard deviation of each one's noise, divided by how far its result can lie from
            that of neighbouring data; above 0.
        releases: How many there are, 0 or more.
        delta: With which probability the bound may fail, in (0, 1).
    """
    if releases == 0:
        return 0.0
    mean = math.sqrt(releases) / noise
    if _delta(mean, 0.0) <= delta:
        return 0.0
    low, high = 0.0, 1.0
    while _delta(mean, high) > delta:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _delta(mean, middle) > delta else (low, middle)
    return high


def _delta(mean: float, epsilon: float) -> float:
    """Return the delta that goes with an epsilon; ``mean`` is 1 / the noise of all together."""
    rest = math.exp(epsilon + _log_tail(epsilon / mean + mean / 2))
    return math.erfc((epsilon / mean - mean / 2) / math.sqrt(2)) / 2 - rest


def _log_tail(x: float) -> float:
    """Return the logarithm of the probability that a standard normal number is above ``x``."""
    if x < _FAR:
        return math.log(math.erfc(x / math.sqrt(2)) / 2)
    # Where the probability leaves the range of floats: its asymptotic series.
    series = 1 - 1 / x**2 + 3 / x**4 - 15 / x**6
    return -(x**2) / 2 - math.log(x * math.sqrt(2 * math.pi)) + math.log(series)
