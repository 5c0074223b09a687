# SPDX-License-Identifier: Apache-2.0
"""How much one client's word about its samples may weigh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: The largest number of samples that is believed of anybody.
MAX_SAMPLES: Final = 1e15


def sample_cap(rule: float | Mapping[str, float] | None, client: str) -> float:
    """Return the most samples that an update of a client may claim.

    Args:
        rule: One number for every client, or one for each that is named; None caps nobody.
        client: Its name in the federation. A further instance ``NAME_K`` that is not named
            itself has the cap of ``NAME``: whoever is capped may come under such names too.
    """
    if rule is None:
        return MAX_SAMPLES
    if not isinstance(rule, Mapping):
        return min(rule, MAX_SAMPLES)
    site, _, number = client.rpartition("_")
    of_site = rule.get(site, MAX_SAMPLES) if number.isdecimal() else MAX_SAMPLES
    return min(rule.get(client, of_site), MAX_SAMPLES)
