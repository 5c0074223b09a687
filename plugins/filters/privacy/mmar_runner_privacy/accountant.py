# SPDX-License-Identifier: Apache-2.0
"""How much privacy releases have spent: epsilon for a delta, by the library dp-accounting.

The library is imported when something is first counted: it takes a while.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

#: Orders of Renyi divergence at which sampled releases are counted; whole ones, for which the
#: library's sums are finite.
_ORDERS: Final = (*range(2, 65), 80, 96, 128, 192, 256, 512, 1024)


class Release(NamedTuple):
    """One use of the Gaussian mechanism.

    Attributes:
        noise: Its standard deviation, divided by how far the result can lie from that of
            neighbouring data.
        sampled: With which probability the one whose privacy is counted took part.
    """

    noise: float
    sampled: float = 1.0


def epsilon_of(releases: Iterable[Release] | Mapping[Release, int], delta: float) -> float:
    """Return the epsilon of all releases together; infinite if one has no noise.

    Of releases in which everybody took part it is exact: together they are one Gaussian
    mechanism (Dong, Roth and Su, 2019, arXiv:1905.02383), whose epsilon is known (Balle and
    Wang, 2018, arXiv:1805.06530). Sampled ones are counted by their Renyi divergences
    (Mironov, Talwar and Zhang, 2019, arXiv:1908.10530), which gives a bound from above.

    Args:
        releases: In any order; or how often there was each.
        delta: With which probability the bound may fail, in (0, 1).
    """
    counted = Counter(releases)
    if not counted:
        return 0.0
    if any(not release.noise > 0 for release in counted):
        return math.inf
    if all(release.sampled >= 1 for release in counted):
        return _together(counted, delta)
    return _renyi(counted, delta)


def _together(counted: Counter[Release], delta: float) -> float:
    from dp_accounting import get_epsilon_gaussian  # noqa: PLC0415 - takes seconds

    precision = math.fsum(times / release.noise**2 for release, times in counted.items())
    return float(get_epsilon_gaussian(1 / math.sqrt(precision), delta))


def _renyi(counted: Counter[Release], delta: float) -> float:
    import dp_accounting  # noqa: PLC0415 - takes seconds
    from dp_accounting.rdp import RdpAccountant  # noqa: PLC0415

    accountant = RdpAccountant(_ORDERS)
    for release, times in sorted(counted.items()):
        event = dp_accounting.GaussianDpEvent(release.noise)
        if release.sampled < 1:
            event = dp_accounting.PoissonSampledDpEvent(release.sampled, event)
        accountant.compose(event, times)
    return float(accountant.get_epsilon(delta))
