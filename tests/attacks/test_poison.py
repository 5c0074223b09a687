# SPDX-License-Identifier: Apache-2.0
"""Updates that are accepted, and numbers beside them that must not end the run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.testing.processes import RunningServer

HUGE = 1.7e308


@pytest.fixture
def open_arena(tmp_path: Path, arena_of: Any, mmar: Path, project: Any) -> Any:
    variables = {"NUM_ROUNDS": 1, "MIN_NUM_CLIENTS": 2, "MODEL_MB": 0.01}
    options = ("--durability", "process")
    kit = project.kits.server
    with RunningServer(mmar, tmp_path / "ws", *options, variables=variables, kit=kit) as server:
        yield arena_of(server, mmar, variables)


def test_b01_an_update_that_comes_ten_times_counts_once(open_arena: Any) -> None:
    async def play(attacker: Any) -> list[bool]:
        receipts = [
            await attacker.submit_inline(attacker.model, update_id="same") for _ in range(11)
        ]
        return [receipt.duplicate for receipt in receipts]

    assert open_arena.attack(play) == [False] + [True] * 10
    assert len(open_arena.evidence.accepted()) == 1


def test_b06_numbers_beside_an_update_cannot_end_the_run(open_arena: Any) -> None:
    """Means overflow, durations are no numbers: the run still ends with a summary."""
    names = {f"m{i}": HUGE for i in range(50)} | {"nan": math.nan, "inf": math.inf}

    async def play(attacker: Any) -> None:
        for owner, seconds in (("greedy-a", math.nan), ("greedy-b", -math.inf)):
            async with attacker.arena.guest(owner) as other:
                await other.submit_inline(
                    attacker.model,
                    num_samples=1e15,
                    metrics=names,
                    validation=names,
                    seconds_train=seconds,
                )

    open_arena.attack(play)
    assert open_arena.server.wait() == 0, open_arena.server.stderr
    text = (open_arena.server.workspace / "run_1" / "summary.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["status"] == "finished"


def test_b05_differences_that_overflow_do_not_reach_the_model(open_arena: Any) -> None:
    """The largest finite numbers, as differences: their sum with the model is infinite."""

    async def play(attacker: Any) -> None:
        start = 8 + int.from_bytes(attacker.model[:8], "little")
        largest = b"\xff\xff\x7f\x7f" * ((len(attacker.model) - start) // 4)
        update = attacker.model[:start] + largest
        for owner in ("greedy-a", "greedy-b"):
            async with attacker.arena.guest(owner) as other:
                await other.submit_inline(update, kind="weight_diff")

    open_arena.attack(play)
    code = open_arena.server.wait()
    final = open_arena.server.workspace / "run_1" / "models" / "final.safetensors"
    if code == 0:
        import numpy as np

        raw = final.read_bytes()
        start = 8 + int.from_bytes(raw[:8], "little")
        assert np.isfinite(np.frombuffer(raw[start:], dtype="<f4")).all()
    assert "Traceback" not in open_arena.server.stderr
