# SPDX-License-Identifier: Apache-2.0
"""What one site cannot do to a run: fail it for others, fill it, or decide it alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.testing.processes import RunningServer
from mmar_runner.wire.messages import QuitRequest, TaskFailure

QUICK = ("--durability", "process")


@pytest.fixture
def lone(tmp_path: Path, arena_of: Any, mmar: Path, project: Any, forge: Any) -> Iterator[Any]:
    """An arena of one round, whose federation has a place for every site and two more."""
    sites = len(forge.SITES)
    variables = {
        "NUM_ROUNDS": 1,
        "MIN_NUM_CLIENTS": 2,
        "MAX_NUM_CLIENTS": sites + 2,
        "MODEL_MB": 0.01,
    }
    kit = project.kits.server
    with RunningServer(mmar, tmp_path / "ws", *QUICK, variables=variables, kit=kit) as server:
        yield arena_of(server, mmar, variables)


def test_c03_a_site_that_always_fails_ends_nobodys_run(lone: Any, tmp_path: Path) -> None:
    """As often as it may; only then do two others come."""

    async def play(attacker: Any) -> None:
        for player in (attacker, attacker.neighbour):
            call = player.stub.submit_update()
            for attempt in (1, 2, 3):
                failure = TaskFailure(
                    token=player.token, run_number=1, attempt=attempt, reason="NO", message="no"
                )
                await call.write(failure)
                await call.read()
            call.cancel()
        await attacker.heartbeat()  # the run goes on, and waits

    lone.attack(play, owner="evil-a")
    assert len(lone.evidence.events("task_failed")) == 4
    lone.finish(tmp_path / "clients")


def test_c03_instances_do_not_take_the_places_of_other_sites(lone: Any, tmp_path: Path) -> None:
    async def play(attacker: Any) -> None:
        reason = ""
        while not reason:
            name = f"evil-a_{len(tokens) + 3}"
            try:
                tokens.append((await attacker.register(client_name=name)).token)
            except RefusedError as error:
                reason = error.reason
        assert reason == "TOO_MANY_CLIENTS"
        lone.count(attacker, reason)
        for owner in ("evil-b", "greedy-a", "witness"):
            async with lone.guest(owner):
                pass
        for token in tokens:
            await attacker.stub.quit(QuitRequest(token=token), timeout=10)

    tokens: list[str] = []
    lone.attack(play, owner="evil-a")
    assert len(tokens) == 1  # two of them are there: one has its site's place
    lone.finish(tmp_path / "clients")


def test_c03_instances_of_one_site_close_no_round_alone(lone: Any) -> None:
    async def play(attacker: Any) -> None:
        await attacker.submit_inline(attacker.model)
        attacker.neighbour.header = attacker.header
        await attacker.neighbour.submit_inline(attacker.model)
        await attacker.heartbeat()
        assert lone.evidence.events("round_closed") == []
        async with lone.guest("witness") as other:
            await other.submit_inline(other.model)

    lone.attack(play, owner="evil-a")
    assert lone.server.wait() == 0, lone.server.stderr
    (entry,) = lone.server.summary()["rounds"]
    assert len(entry["contributions"]) == 3
