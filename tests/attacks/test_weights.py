# SPDX-License-Identifier: Apache-2.0
"""A client that claims more samples than the MMAR lets it, under each of its names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.testing.processes import RunningServer

MOST = 50


@pytest.fixture(scope="module")
def capping(project: Any, forge: Any) -> Path:
    """A signed MMAR that says how much each attacker's data may weigh."""
    return Path(project.mmar(name="capping", max_num_samples=dict.fromkeys(forge.EVIL, MOST)))


@pytest.fixture(scope="module")
def capped(attacked_server: Any, capping: Path) -> Iterator[Any]:
    """An arena whose server runs it."""
    with attacked_server("capped", capping) as arena:
        yield arena


@pytest.mark.parametrize("claimed", [MOST + 1, 1e15])
def test_b06_more_samples_than_a_site_may_claim_are_refused(capped: Any, claimed: float) -> None:
    play = lambda a: a.submit_inline(a.model, num_samples=claimed)  # noqa: E731
    error = capped.refused(play)
    assert error.reason == "WEIGHT"
    assert f"at most {MOST}" in error.message


def test_b06_as_many_samples_as_a_site_may_claim_are_taken(
    capping: Path, project: Any, arena_of: Any, tmp_path: Path
) -> None:
    variables = {"NUM_ROUNDS": 1, "MIN_NUM_CLIENTS": 2, "MODEL_MB": 0.01}
    kit = project.kits.server
    with RunningServer(capping, tmp_path / "ws", variables=variables, kit=kit) as server:
        arena = arena_of(server, capping, variables)
        receipt = arena.attack(lambda a: a.submit_inline(a.model, num_samples=MOST))
        assert not receipt.duplicate
