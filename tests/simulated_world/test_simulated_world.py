# SPDX-License-Identifier: Apache-2.0
"""Hundreds of federations with accidents; whatever happens, nothing is lost.

The production server and sessions run in one thread, under a simulated clock, network and
disk, and die at any of their actions. A seed that fails prints itself, what happened last and
the command that replays it: ``MMAR_RUNNER_SEEDS=17``, or ``0:10000`` for many.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulated_world.federation import Federation
from tests.simulated_world.seeds import PARTS, Tried, part, tried, wanted

#: How many worlds have a rule that keeps something.
KEEPING_SEEDS = 40
#: In how many nobody waits for others.
BUFFERED_SEEDS = 60


@pytest.mark.parametrize("number", range(PARTS))
@pytest.mark.timeout(0)
def test_nothing_is_lost_whatever_happens(number: int) -> None:
    results = [tried(seed) for seed in part(number)]
    _equal_sets_give_equal_models(results)
    if "MMAR_RUNNER_SEEDS" in os.environ:
        return
    ends = Counter(result.status for result in results)
    assert ends["finished"] > len(results) * 2 / 3, f"most worlds recover: {ends}"
    assert sum(result.deaths for result in results) > len(results), "many processes die"
    assert sum(result.power_cuts for result in results) > 0, "and some machines"
    assert sum(result.withdrawn for result in results) > 0, "some updates are withdrawn"
    # An update leaves with its client in one world of twenty: too few for each part.
    assert sum(result.removals for result in results) > 0, "some clients are removed"
    assert sum(result.given_again for result in results) > 0, "some tasks are given again"


@pytest.mark.timeout(0)
def test_what_an_aggregator_keeps_is_not_lost_either() -> None:
    """Killed at any moment, spoiled or gone back: the momentum is the undisturbed run's."""
    results = [tried(seed, "FedAvgM") for seed in range(KEEPING_SEEDS)]
    _equal_sets_give_equal_models(results)
    assert sum(result.deaths for result in results) > len(results), "many processes die"
    assert sum(result.gone_back for result in results) > 0, "some runs go back"


@pytest.mark.timeout(0)
def test_one_works_at_a_time_where_the_model_goes_round() -> None:
    seeds = wanted() if "MMAR_RUNNER_SEEDS" in os.environ else range(60)
    results = [tried(seed, round_robin=True) for seed in seeds]
    if "MMAR_RUNNER_SEEDS" in os.environ:
        return
    ends = Counter(result.status for result in results)
    assert ends["finished"] > len(results) * 2 / 3, f"most worlds recover: {ends}"
    assert sum(result.passed for result in results) > 0, "some turns go on to another"


@pytest.mark.timeout(0)
def test_every_cell_is_settled_whatever_happens() -> None:
    seeds = wanted() if "MMAR_RUNNER_SEEDS" in os.environ else range(60)
    results = [tried(seed, cross_site=True) for seed in seeds]
    if "MMAR_RUNNER_SEEDS" in os.environ:
        return
    assert sum(result.validated for result in results) > len(results), "models are validated"
    assert sum(result.left_empty for result in results) > 0, "and some are not"


@pytest.mark.timeout(0)
def test_nobody_waits_where_updates_are_buffered() -> None:
    seeds = wanted() if "MMAR_RUNNER_SEEDS" in os.environ else range(BUFFERED_SEEDS)
    results = [tried(seed, buffered=True) for seed in seeds if seed % 3]
    _equal_sets_give_equal_models(results)
    # With what is kept from round to round, and with an end in which everybody is waited for.
    keeping = [
        tried(seed, "FedAvgM", buffered=True, cross_site=True) for seed in seeds if seed % 3 == 0
    ]
    _equal_sets_give_equal_models(keeping)
    results += keeping
    if "MMAR_RUNNER_SEEDS" in os.environ:
        return
    ends = Counter(result.status for result in results)
    assert ends["finished"] > len(results) * 2 / 3, f"most worlds recover: {ends}"
    stale = sum(
        base < number
        for result in results
        for number, bases in enumerate(result.bases)
        for base in bases
    )
    assert stale > len(results) / 2, "many updates were made from an older model"
    assert sum(result.deaths for result in results) > len(results), "many processes die"


def test_a_seed_replays_exactly() -> None:
    for seed in (3, 14, 15):
        assert history(seed) == history(seed)
        assert history(seed) != history(seed + 1)


def test_a_seed_replays_exactly_in_another_process() -> None:
    """Neither the addresses of objects nor the seed of hashes decides anything."""
    here = "\n".join(history(14))
    code = "from tests.simulated_world.test_simulated_world import history; "
    code += "print('\\n'.join(history(14)))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert found.stdout.strip() == here


def history(seed: int) -> list[str]:
    """Return what happens in the world of a seed."""
    federation = Federation(seed)
    try:
        federation.run()
        root = str(federation.root)
        return [
            f"{at!r} {who} {what}".replace(root, "") for at, who, what in federation.world.history
        ]
    finally:
        federation.close()


def _equal_sets_give_equal_models(results: list[Tried]) -> None:
    """Hold worlds against each other: who was added up, and how it came, decides alone."""
    models: dict[object, tuple[str, ...]] = {}
    for result in results:
        key = (result.mixed, result.codec, result.accepted, result.bases)
        known = models.setdefault(key, result.models)
        assert known == result.models, f"{result.accepted} gave two results"
