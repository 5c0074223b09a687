# SPDX-License-Identifier: Apache-2.0
"""Sampling and seeds: the same everywhere, spread evenly."""

from __future__ import annotations

import inspect
from collections import Counter

from mmar_runner.federation.scatter_and_gather import ScatterAndGather
from mmar_runner.federation.seeds import derive_seed, seeds_for
from mmar_runner.interfaces.workflow import Workflow

_SITES = [f"site-{n}" for n in range(10)]


def _sample(active: list[str], number: int = 0, *, seed: int = 7, per_round: int = 4) -> list[str]:
    workflow = ScatterAndGather()
    return list(workflow.participants(active, round_number=number, seed=seed, per_round=per_round))


def test_it_is_a_workflow_by_its_methods() -> None:
    assert isinstance(ScatterAndGather(), Workflow)
    for name in ("participants", "admits_late"):
        ours = inspect.signature(getattr(ScatterAndGather, name))
        assert ours == inspect.signature(getattr(Workflow, name))
    assert Workflow.__abstractmethods__ <= set(dir(ScatterAndGather))


def test_without_a_number_everybody_works_and_latecomers_too() -> None:
    workflow = ScatterAndGather()
    everyone = workflow.participants(_SITES[::-1], round_number=0, seed=0, per_round=None)
    assert list(everyone) == sorted(_SITES)
    assert workflow.admits_late(per_round=None)
    assert not workflow.admits_late(per_round=4)
    assert _sample(["b", "a"], per_round=5) == ["a", "b"]


def test_a_sample_is_sorted_and_the_same_in_any_order_of_the_clients() -> None:
    sample = _sample(_SITES)
    assert sample == sorted(sample) == _sample(_SITES[::-1])
    assert len(set(sample)) == 4


def test_rounds_and_seeds_draw_anew_and_evenly() -> None:
    drawn = Counter(name for number in range(1000) for name in _sample(_SITES, number))
    assert all(330 < drawn[name] < 470 for name in _SITES)
    assert _sample(_SITES, seed=1) != _sample(_SITES, seed=2)


def test_a_client_that_leaves_changes_one_place_at_most() -> None:
    for number in range(50):
        before = set(_sample(_SITES, number))
        after = set(_sample([name for name in _SITES if name != "site-3"], number))
        assert len(after - before) <= 1


def test_a_sample_is_of_those_with_the_smallest_seeds() -> None:
    """Known since the first version: another sample of the same seed would be another run."""
    ranked = sorted(_SITES, key=lambda name: derive_seed(7, "sample", 3, name))
    assert _sample(_SITES, 3) == sorted(ranked[:4])
    assert derive_seed(7, "sample", 3, "site-1") == 2680446148160778480
    assert seeds_for(7, "sample", 3)("site-1") == 2680446148160778480
    assert seeds_for(7)(3) != seeds_for(7)("3")


def test_seeds_are_known_small_enough_and_of_their_parts() -> None:
    assert derive_seed(0) != derive_seed(1)
    assert derive_seed(3, "site-1", 2) == derive_seed(3, "site-1", 2)
    different = [
        derive_seed(3, "site-1", 2),
        derive_seed(3, "site-1", "2"),
        derive_seed(3, 2, "site-1"),
        derive_seed(3, "site-12"),
        derive_seed(3, "site-1,3:int:2"),
        derive_seed(3, "site-1", 2, ""),
        derive_seed(-3, "site-1", 2),
    ]
    assert len(set(different)) == len(different)
    assert all(0 <= seed < 2**63 for seed in different)


def test_a_seed_does_not_change_between_versions() -> None:
    assert derive_seed(42, "site-1", 0) == 6_098_959_909_860_213_385


def test_a_sample_does_not_change_between_versions() -> None:
    assert _sample(_SITES) == ["site-0", "site-3", "site-6", "site-7"]


def test_whoever_asks_for_a_turn_gets_the_next_by_name() -> None:
    names = ["a", "b", "c"]
    turn = ScatterAndGather().turn
    assert [turn(names, after=after) for after in (None, "a", "b", "c")] == ["a", "b", "c", "a"]
