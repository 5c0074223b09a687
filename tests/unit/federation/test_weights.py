# SPDX-License-Identifier: Apache-2.0
"""How many samples a client may claim."""

from __future__ import annotations

import pytest

from mmar_runner.federation.sites import Sites
from mmar_runner.federation.weights import MAX_SAMPLES, sample_cap


@pytest.mark.parametrize(
    ("rule", "client", "most"),
    [
        (None, "site-1", 1e15),
        (200, "site-1", 200),
        (1e300, "site-1", MAX_SAMPLES),
        ({"site-1": 200}, "site-1", 200),
        ({"site-1": 200}, "site-2", MAX_SAMPLES),
        ({"site-1": 200}, "site-1_2", 200),
        ({"site-1": 200, "site-1_2": 50}, "site-1_2", 50),
        ({"site-1": 200}, "site-1_two", MAX_SAMPLES),
        ({"site_north": 200}, "site_north_2", 200),
        ({"site_north": 200}, "site_2", MAX_SAMPLES),
        ({"site-1": 200}, "site-11", MAX_SAMPLES),
    ],
)
def test_the_most_that_a_client_may_claim(rule: object, client: str, most: float) -> None:
    assert sample_cap(rule, client) == most


def test_a_site_whose_name_looks_like_an_instance_has_its_own_cap() -> None:
    both = frozenset({"ward", "ward_2"})
    assert sample_cap({"ward": 200}, "ward_2", Sites(both, both)) == MAX_SAMPLES
    assert sample_cap({"ward": 200}, "ward_3", Sites(both, both)) == 200
