# SPDX-License-Identifier: Apache-2.0
"""Places for uploads are shared fairly; whoever sends in vain is heard no more."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.server.calls.attempts import MOST_COPIES, MOST_SPOILED, Attempts
from mmar_runner.server.calls.turns import Turns


class Crowd:
    """Tasks that hold places until they are told to leave."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._tasks: dict[str, list[tuple[asyncio.Task[None], asyncio.Event]]] = {}

    async def come(self, owner: str, count: int = 1) -> None:
        for _ in range(count):
            left = asyncio.Event()
            task = asyncio.create_task(self._hold(owner, left))
            self._tasks.setdefault(owner, []).append((task, left))
        await settled()

    async def leave(self, owner: str) -> None:
        """Let the first of an owner's leave, whether it holds a place or waits for one."""
        task, left = self._tasks[owner].pop(0)
        left.set()
        await asyncio.wait({task})
        await settled()

    async def give_up(self, owner: str) -> None:
        """Cancel the last of an owner's."""
        task, _ = self._tasks[owner].pop()
        task.cancel()
        await asyncio.wait({task})
        await settled()

    async def end(self) -> None:
        for tasks in self._tasks.values():
            for task, _ in tasks:
                task.cancel()
                await asyncio.wait({task})

    async def _hold(self, owner: str, left: asyncio.Event) -> None:
        async with self._turns.turn(owner):
            await left.wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_owner_holds_its_share_and_no_more() -> None:
    turns = Turns(8, most=3)
    crowd = Crowd(turns)
    await crowd.come("greedy", 20)
    assert turns.held("greedy") == 3
    await crowd.come("other", 2)
    assert turns.held("other") == 2
    await crowd.leave("greedy")
    assert turns.held("greedy") == 3, "the next of its own"
    await crowd.end()
    assert turns.held("greedy") == turns.held("other") == 0


async def test_a_free_place_goes_to_who_holds_the_fewest() -> None:
    turns = Turns(4, most=4)
    crowd = Crowd(turns)
    await crowd.come("greedy", 10)
    await crowd.come("late")
    assert (turns.held("greedy"), turns.held("late")) == (4, 0)
    await crowd.leave("greedy")
    assert (turns.held("greedy"), turns.held("late")) == (3, 1)
    await crowd.end()


async def test_a_place_is_left_for_every_other_owner_who_waits() -> None:
    turns = Turns(4, most=4)
    crowd = Crowd(turns)
    await crowd.come("first", 4)
    for name in ("a", "b", "c"):
        await crowd.come(name, 2)
    for _ in range(3):
        await crowd.leave("first")
    assert [turns.held(name) for name in ("first", "a", "b", "c")] == [1, 1, 1, 1]
    await crowd.end()


async def test_who_gives_up_takes_nobodys_place() -> None:
    turns = Turns(1, most=1)
    crowd = Crowd(turns)
    await crowd.come("a")
    await crowd.come("b", 2)
    await crowd.give_up("b")
    await crowd.leave("a")
    assert turns.held("b") == 1
    await crowd.leave("b")
    await crowd.come("c")
    assert turns.held("c") == 1
    await crowd.end()


async def test_a_place_that_is_given_to_who_gives_up_is_given_on() -> None:
    turns = Turns(1, most=1)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(turns.turn("a"))
        crowd = Crowd(turns)
        await crowd.come("b")
        await crowd.come("c")
        giving_up = asyncio.create_task(crowd.give_up("b"))
        await stack.aclose()  # b has its place, and is cancelled before it can know
        await giving_up
    assert turns.held("c") == 1
    await crowd.end()


async def test_holders_and_waiters_that_are_cancelled_at_once_leave_every_place_free() -> None:
    """As when a round closes in the middle of many uploads: none of them ends with an error."""
    turns = Turns(2, most=1)
    ready = asyncio.Event()

    async def hold(owner: str) -> None:
        async with turns.turn(owner):
            await ready.wait()

    tasks = [asyncio.create_task(hold(owner)) for owner in ("a", "b", "a", "b", "c")]
    await settled()
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * len(tasks)
    assert [turns.held(owner) for owner in "abc"] == [0, 0, 0]
    async with asyncio.timeout(10), turns.turn("a"), turns.turn("b"):
        assert (turns.held("a"), turns.held("b")) == (1, 1)


def test_updates_that_are_none_are_few() -> None:
    attempts = Attempts(1000)
    for _ in range(MOST_SPOILED):
        attempts.check("site-1", 3)
        attempts.count("site-1", 3, 10, spoiled=True)
    with pytest.raises(RefusedError) as refused:
        attempts.check("site-1", 3)
    assert refused.value.reason == "TOO_MANY_ATTEMPTS"
    attempts.check("site-2", 3)
    attempts.check("site-1", 4)


def test_bytes_in_vain_are_few() -> None:
    attempts = Attempts(1000)
    attempts.check("site-1", 3)
    attempts.count("site-1", 2, 10**9, spoiled=False)
    for _ in range(MOST_COPIES * 2):
        attempts.check("site-1", 3)
        attempts.count("site-1", 3, 500, spoiled=False)
    with pytest.raises(RefusedError, match="8000 bytes in round 3"):
        attempts.check("site-1", 3)
