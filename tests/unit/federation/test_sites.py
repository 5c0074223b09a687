# SPDX-License-Identifier: Apache-2.0
"""Which site a client is of, and for whom places are kept."""

from __future__ import annotations

import pytest

from mmar_runner.federation.sites import NO_SITES, Sites

SITES = Sites(frozenset({"a", "b", "c", "a_7"}), frozenset({"a", "b", "c"}))


@pytest.mark.parametrize(
    ("client", "site"),
    [("a", "a"), ("a_1", "a"), ("a_7", "a_7"), ("a_x", "a_x"), ("d_1", "d_1"), ("a_7_2", "a_7")],
)
def test_an_instance_is_of_its_site(client: str, site: str) -> None:
    assert SITES.of(client) == site
    assert NO_SITES.of(client) == client


def test_sites_are_counted_once() -> None:
    clients = ["a", "a_1", "a_2", "b_1"]
    assert SITES.count(clients) == 2
    assert NO_SITES.count(clients) == 4
    assert SITES.absent(clients) == {"c"}
    assert NO_SITES.absent(clients) == set()


def test_a_place_is_kept_for_every_admitted_site() -> None:
    assert SITES.has_place("a_1", [], 3)  # whichever comes first
    assert not SITES.has_place("a_2", ["a_1"], 3)
    assert SITES.has_place("a_2", ["a_1"], 4)
    assert SITES.has_place("b", ["a_1", "a_2"], 4)
    assert not SITES.has_place("b_1", ["a_1", "a_2", "b"], 4)
    assert SITES.has_place("c", ["a_1", "a_2", "b"], 4)


def test_instances_have_what_is_left_over_once_every_site_is_there() -> None:
    assert SITES.has_place("a_2", ["a", "b", "c"], 4)
    assert not SITES.has_place("a_2", ["a", "b", "c"], 3)


def test_without_sites_the_places_are_anybodys() -> None:
    assert NO_SITES.has_place("a_2", ["a", "a_1"], 3)
    assert not NO_SITES.has_place("b", ["a", "a_1", "a_2"], 3)
