# SPDX-License-Identifier: Apache-2.0
"""Hundreds of federations with accidents; whatever happens, nothing is lost.

A seed that fails prints itself. ``MMAR_RUNNER_SEEDS=17`` or ``0:10000`` tries others.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.simulated_world.federation import Federation

_SEEDS = 300


def _seeds() -> range:
    first, _, last = os.environ.get("MMAR_RUNNER_SEEDS", f"0:{_SEEDS}").partition(":")
    return range(int(first), int(last) if last else int(first) + 1)


def test_nothing_is_lost_whatever_happens() -> None:
    models: dict[tuple[tuple[str, ...], ...], tuple[str, ...]] = {}
    ends: Counter[str] = Counter()
    for seed in _seeds():
        federation = Federation(seed)
        try:
            federation.run()
            federation.check()
            accepted = federation.accepted_sets()
            assert models.setdefault(accepted, federation.models()) == federation.models()
        except AssertionError as error:
            pytest.fail(f"seed {seed} (replay: MMAR_RUNNER_SEEDS={seed}): {error}")
        ends[federation.status] += 1
    if len(_seeds()) >= _SEEDS:
        assert ends["finished"] > 200, "most worlds recover"
        assert ends["failed"] > 0, "some worlds have tasks that fail for good"
        assert len(models) < sum(ends.values()), "some worlds accept equal sets"


def test_a_seed_replays_exactly() -> None:
    def history(seed: int) -> list[object]:
        federation = Federation(seed)
        federation.run()
        return [(e.time, e.kind, e.data) for e in federation.disk.journal]

    for seed in (3, 14, 15):
        assert history(seed) == history(seed)
        assert history(seed) != history(seed + 1)
