# SPDX-License-Identifier: Apache-2.0
"""Who is bound to whom, and how many neighbours it takes."""

import math
import random

import pytest

from mmar_runner_secagg.graph import neighbours
from mmar_runner_secagg.parameters import SPARSE_FROM, lost_at_most, parameters

NAMES = [f"site-{number}" for number in range(40)]


@pytest.mark.parametrize("degree", [2, 10, 38, 39])
def test_everybody_has_as_many_neighbours_and_that_is_mutual(degree):
    near = neighbours(NAMES, degree, b"seed")
    for name in NAMES:
        assert len(set(near[name])) == degree
        assert name not in near[name]
        assert all(name in near[other] for other in near[name])


def test_the_graph_depends_on_the_seed_and_not_on_the_order_of_names():
    shuffled = random.Random(0).sample(NAMES, len(NAMES))
    assert neighbours(NAMES, 6, b"seed") == neighbours(shuffled, 6, b"seed")
    assert neighbours(NAMES, 6, b"seed") != neighbours(NAMES, 6, b"another")


def test_the_graph_hangs_together():
    near = neighbours(NAMES, 2, b"seed")
    reached, edge = set(), {NAMES[0]}
    while edge:
        reached |= edge
        edge = {other for name in edge for other in near[name]} - reached
    assert reached == set(NAMES)


def test_an_odd_ring_is_refused():
    with pytest.raises(ValueError, match="3 neighbours each"):
        neighbours(NAMES, 3, b"seed")


@pytest.mark.parametrize("clients", range(1, SPARSE_FROM))
def test_few_clients_are_bound_to_each_other_and_a_third_may_be_lost(clients):
    numbers = parameters(clients)
    assert numbers.degree == clients - 1
    assert numbers.threshold == numbers.quorum == clients - clients // 3
    assert 2 * numbers.threshold > numbers.degree + 1


@pytest.mark.parametrize("clients", [32, 100, 150, 200, 400])
def test_of_many_a_majority_of_the_shares_is_needed(clients):
    numbers = parameters(clients)
    assert numbers.degree + 1 < 2 * numbers.threshold <= 2 * numbers.degree


def test_with_many_clients_neighbours_are_fewer_than_clients_and_grow_slowly():
    degrees = [parameters(clients).degree for clients in (150, 300, 600)]
    assert degrees == sorted(degrees)
    assert degrees[0] < 149
    assert degrees[2] < 3 * degrees[0]


def test_what_a_third_that_is_lost_leaves_suffices_but_for_a_chance_that_is_stated():
    """Counted anew: that a client is left with too few neighbours, by the hypergeometric law."""
    clients = 200
    numbers = parameters(clients)
    others, there = clients - 1, clients - 1 - lost_at_most(clients)
    too_few = sum(
        math.comb(there, left) * math.comb(others - there, numbers.degree - left)
        for left in range(numbers.threshold)
        if numbers.degree - left <= others - there
    )
    assert clients * too_few / math.comb(others, numbers.degree) <= 2.0**-30
