# SPDX-License-Identifier: Apache-2.0
"""What keeps combiners from adding a run's updates up, said once for whoever asks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mmar_runner.federation.composing import Combination, Obstacle, obstacles

PLAIN = Combination(aggregator="Mean", composes=True)


def test_nothing_is_in_the_way_of_a_mean() -> None:
    assert list(obstacles(PLAIN)) == []


@pytest.mark.parametrize(
    ("differs", "key", "why"),
    [
        (
            {"composes": False},
            "aggregator",
            "Mean needs every site's update: it does not work on sums of them",
        ),
        (
            {"takes_turns": True},
            "workflow",
            "where one client works at a time there is nothing to add up",
        ),
        (
            {"waits": False},
            "workflow",
            "where clients do not wait for each other, a sum would be of several models",
        ),
        (
            {"draws": True},
            "clients_per_round",
            "clients_per_round draws among all sites, and a combiner knows its own alone",
        ),
        (
            {"inbound_filters": ("Look", "Clip")},
            "inbound_filters",
            "Look, Clip of the server's inbound_filters would see sums of updates",
        ),
    ],
)
def test_each_obstacle_is_said_where_it_is_declared(
    differs: dict[str, Any], key: str, why: str
) -> None:
    assert list(obstacles(replace(PLAIN, **differs))) == [Obstacle(key, why)]


def test_several_are_said_each() -> None:
    found = obstacles(replace(PLAIN, composes=False, draws=True))
    assert [one.key for one in found] == ["aggregator", "clients_per_round"]
