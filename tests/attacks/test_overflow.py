# SPDX-License-Identifier: Apache-2.0
"""Finite updates whose aggregate is not: the site that sent them is refused, not the run."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from mmar_runner.testing.processes import RunningServer


def filled(model: bytes, value: float, layout: str = "<f8") -> bytes:
    """Return a model in which every number is that one."""
    begin = 8 + struct.unpack("<Q", model[:8])[0]
    count = (len(model) - begin) // np.dtype(layout).itemsize
    return model[:begin] + np.full(count, value, layout).tobytes()


@pytest.fixture(scope="module")
def wide(project: Any) -> Path:
    """A signed MMAR whose model has numbers of eight bytes."""
    return Path(project.mmar(name="wide", checkpoint=save({"a": np.ones(100)})))


@pytest.fixture(scope="module")
def overflowing(attacked_server: Any, wide: Path) -> Iterator[Any]:
    """An arena whose server runs it."""
    with attacked_server("overflowing", wide) as arena:
        yield arena
    # Only now has the round been closed, without what the test did.
    (refused,) = arena.server.summary()["rounds"][0]["rejected"]
    assert refused["client"].startswith("evil-a_")
    assert refused["reason"].startswith("NON_FINITE: ")
    (event,) = arena.evidence.events("update_refused")
    assert (event["client"], event["reason"]) == (refused["client"], "NON_FINITE")
    assert "Warning" not in arena.server.stderr


def test_b05_an_update_that_overflows_with_its_weight_ends_nobodys_run(overflowing: Any) -> None:
    """It passes every check; the arena's end shows that the honest sites finish without it."""

    async def play(attacker: Any) -> None:
        await attacker.submit_inline(filled(attacker.model, 1e308), num_samples=1e15)

    overflowing.attack(play, owner="evil-a")
    assert len(overflowing.evidence.accepted()) == 1
    overflowing.evidence.refusals["client evil-a", "NON_FINITE"] += 1


def test_b05_a_site_whose_update_was_withdrawn_may_send_another(
    wide: Path, project: Any, arena_of: Any, tmp_path: Path
) -> None:
    """Two sites, and the minimum is two: the round is open again until one comes that fits."""

    async def play(attacker: Any) -> None:
        await attacker.submit_inline(filled(attacker.model, 1e308), num_samples=1e15)
        async with attacker.arena.guest("witness") as other:
            await other.submit_inline(filled(other.model, 2.0))
            header, model = await attacker.download(after_round=0, after_attempt=1)
            assert (header.round, header.attempt) == (0, 2)
            attacker.header = header
            await attacker.submit_inline(filled(model, 4.0))

    variables = {"NUM_ROUNDS": 1, "MIN_NUM_CLIENTS": 2}
    options = ("--durability", "process")
    kit = project.kits.server
    with RunningServer(wide, tmp_path / "ws", *options, variables=variables, kit=kit) as server:
        arena_of(server, wide, variables).attack(play)
        assert server.wait() == 0, server.stderr
        run = server.workspace / "run_1"
        final = (run / "models" / "final.safetensors").read_bytes()
        assert final.endswith(struct.pack("<100d", *[3.0] * 100))
