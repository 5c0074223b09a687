# SPDX-License-Identifier: Apache-2.0
"""What counts as progress of a run that waits."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.server.status.limit import WaitLimit
from tests.jumping_time import in_jumping_time


class Run:
    """A run that waits; a test changes what is seen of it."""

    def __init__(self, max_wait: float | None) -> None:
        self.coordinator = SimpleNamespace(phase="updates", next_round=0, round=None, validated=0)
        self.members = SimpleNamespace(seen=0, marks=lambda: self.members.seen)
        self.disk = SimpleNamespace(waits="")
        self.stopped: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        parts: tuple[Any, ...] = (self.coordinator, self.members)
        board: Any = SimpleNamespace(waits_since=lambda: ("round 0: nobody", "noon"))
        self.board = board
        disk: Any = self.disk
        stop = self.stopped.set_result
        self.limit = WaitLimit(max_wait, *parts, disk=disk, board=board, stop=stop)


@in_jumping_time
async def test_a_run_that_gets_nowhere_is_stopped_with_what_it_waits_for() -> None:
    run = Run(30)
    run.limit.begin()
    reason = await asyncio.wait_for(run.stopped, 60)
    assert reason == (
        "no progress for 30 s (max_wait) while waiting for round 0: nobody, since noon"
    )


@in_jumping_time
async def test_since_when_is_said_once() -> None:
    run = Run(30)
    run.board.waits_since = lambda: ("round 0: 0 of 1 updates; missing a, left since noon", "noon")
    run.limit.begin()
    assert (await asyncio.wait_for(run.stopped, 60)).endswith("missing a, left since noon")


@in_jumping_time
async def test_without_a_limit_nobody_looks() -> None:
    run = Run(None)
    run.limit.begin()
    run.limit.close()
    assert run.limit._timer is None


@pytest.mark.parametrize("what", ["aggregating", "bytes", "rounds"])
@in_jumping_time
async def test_whoever_gets_on_is_let_alone(what: str) -> None:
    run, loop = Run(40), asyncio.get_running_loop()
    run.limit.begin()
    end = loop.time() + 100
    while loop.time() < end:
        match what:
            case "aggregating":
                run.coordinator.phase = "aggregation"
            case "bytes":
                run.members.seen += 1
            case "rounds":
                run.coordinator.next_round += 1
        await asyncio.sleep(1)
    assert not run.stopped.done()
    run.limit.close()


@in_jumping_time
async def test_an_aggregate_for_which_there_is_no_space_is_a_wait() -> None:
    run = Run(30)
    run.coordinator.phase, run.disk.waits = "aggregation", "DISK_FULL"
    run.limit.begin()
    await asyncio.wait_for(run.stopped, 60)
