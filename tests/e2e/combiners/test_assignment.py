# SPDX-License-Identifier: Apache-2.0
"""Clients that ask a controller which combiner they work below, and are moved if it dies."""

from __future__ import annotations

import pytest

from mmar_runner.interfaces.observer import Topic
from tests.e2e.combiners.conftest import SAMPLES, Tree, models

#: Seven processes are started for one test.
pytestmark = pytest.mark.timeout(240)
_SECONDS = 100.0


def test_clients_are_spread_and_make_the_models_of_the_flat_federation(
    tree: Tree, flat_models: list[str]
) -> None:
    root = tree.server(len(SAMPLES), "--assign", "--pin", "site-4=west")
    combiners = [tree.combiner(name, root, 1) for name in ("east", "west")]
    for combiner in combiners:
        combiner.wait_for(Topic.REGISTERED)
    clients = [tree.client(name, root, asks=True) for name in SAMPLES]

    assert root.wait(timeout=_SECONDS) == 0, root.stderr
    assert [one.wait() for one in (*combiners, *clients)] == [0] * 6
    assert models(root) == flat_models
    assigned = {one["client"]: one["combiner"] for one in root.observations(Topic.ASSIGNED)}
    assert assigned["site-4"] == "west"
    assert sorted(assigned.values()) == ["east", "east", "west", "west"]
    shares = root.summary()["rounds"][-1]["contributions"]
    assert {one["client"] for one in shares} == {f"{at}/{name}" for name, at in assigned.items()}


def test_the_clients_of_a_combiner_that_was_killed_work_below_another(
    tree: Tree, flat_models: list[str]
) -> None:
    """The other has sent its sum of the round by then, and sends one that holds all of them."""
    root = tree.server(len(SAMPLES), "--assign")
    east, west = (tree.combiner(name, root, 1) for name in ("east", "west"))
    for combiner in (east, west):
        combiner.wait_for(Topic.REGISTERED)
    places = {"site-1": "east", "site-2": "east", "site-3": "west", "site-4": "west"}
    clients = [
        tree.client(name, root, "--combiner", at, asks=True, SECONDS=3 if at == "east" else 0)
        for name, at in places.items()
    ]
    west.wait_for(Topic.SUBMITTED, round=0)
    east.kill()

    assert root.wait(timeout=_SECONDS) == 0, root.stderr
    assert [one.wait() for one in (west, *clients)] == [0] * 5
    assert models(root) == flat_models
    moved = [one for one in root.observations(Topic.ASSIGNED) if one["before"] == "east"]
    assert {one["client"] for one in moved} == {"site-1", "site-2"}
    for entry in root.summary()["rounds"]:
        counted = {share["client"] for share in entry["contributions"]}
        assert counted == {f"west/{name}" for name in SAMPLES}
