# SPDX-License-Identifier: Apache-2.0
"""How much one client's word about its samples may weigh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mmar_runner.federation.sites import NO_SITES

if TYPE_CHECKING:
    from mmar_runner.federation.sites import Sites

#: The largest number of samples that is believed of anybody.
MAX_SAMPLES: Final = 1e15


def sample_cap(
    rule: float | Mapping[str, float] | None, client: str, sites: Sites = NO_SITES
) -> float:
    """Return the most samples that an update of a client may claim.

    Args:
        rule: One number for every client, or one for each that is named; None caps nobody.
        client: Its name in the federation. A further instance ``NAME_K`` that is not named
            itself has the cap of ``NAME``: whoever is capped may come under such names too.
        sites: Of the federation; a site's own name is no instance's, whatever it looks like.
    """
    if rule is None:
        return MAX_SAMPLES
    if not isinstance(rule, Mapping):
        return min(rule, MAX_SAMPLES)
    site, _, number = client.rpartition("_")
    instance = number.isdecimal() and client not in sites.known
    of_site = rule.get(site, MAX_SAMPLES) if instance else MAX_SAMPLES
    return min(rule.get(client, of_site), MAX_SAMPLES)
