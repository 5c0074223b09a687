# SPDX-License-Identifier: Apache-2.0
"""Every case once, with a seed of its own each time; a short sweep over the failpoints.

``MMAR_FAULT_SEEDS=1,2,3`` repeats seeds. ``make faults`` plays ten of each.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from tests.faults.arena import Arena
from tests.faults.case import NotHereError
from tests.faults.cases import CASES
from tests.faults.cases_sweeps import sweep

SEEDS = [int(seed) for seed in os.environ.get("MMAR_FAULT_SEEDS", "").split(",") if seed]
#: Points of each side in a short sweep.
_POINTS = 6

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    """What the cases share."""
    return Arena(tmp_path_factory.mktemp("arena"))


def _play(name: str, seed: int | None, play: Callable[[random.Random], str]) -> None:
    # Drawn here: every process of a parallel run must collect the same tests.
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    print(f"{name} with seed {seed}: MMAR_FAULT_SEEDS={seed} repeats it")  # noqa: T201
    try:
        print(play(random.Random(f"{name} {seed}")))  # noqa: T201
    except NotHereError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("seed", SEEDS or [None])
@pytest.mark.parametrize("name", sorted(set(CASES) - {"SWEEP-KILL", "SWEEP-STOP"}))
def test_what_happens_is_survived(arena: Arena, name: str, seed: int | None) -> None:
    _play(name, seed, lambda chance: CASES[name].play(arena, chance))


@pytest.mark.parametrize("seed", SEEDS or [None])
@pytest.mark.parametrize("action", ["kill", "stop"])
def test_a_sweep_over_some_failpoints(arena: Arena, action: str, seed: int | None) -> None:
    """The whole sweep is `make faults`'."""
    count = _POINTS if action == "kill" else None
    _play(action, seed, lambda chance: sweep(arena, chance, action, count=count))
