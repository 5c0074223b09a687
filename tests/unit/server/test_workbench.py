# SPDX-License-Identifier: Apache-2.0
"""What the coordinator has under way is held, ended with it, and told if it fails."""

from __future__ import annotations

import asyncio

import pytest

from mmar_runner.server.rounds.workbench import Workbench


async def test_a_task_that_fails_is_told_in_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    bench = Workbench(told.append)

    async def fail() -> None:
        raise ZeroDivisionError

    bench.spawn(fail())
    await bench.close()
    assert told == ["internal error: ZeroDivisionError"]
    assert "ZeroDivisionError" in caplog.text


async def test_tasks_that_are_given_up_end_without_a_word() -> None:
    told: list[str] = []
    bench = Workbench(told.append)
    bench.spawn(asyncio.sleep(3600))
    await asyncio.sleep(0)
    bench.give_up()
    await bench.close()
    assert not told


async def test_a_timer_replaces_the_one_before_and_none_comes_after_the_end() -> None:
    bench, due, loop = Workbench(lambda _: None), list[str](), asyncio.get_running_loop()
    came = asyncio.Event()

    def first() -> None:
        due.append("first")
        came.set()

    bench.set_timer(loop.time(), lambda: due.append("replaced"))
    bench.set_timer(loop.time(), first)
    await came.wait()
    bench.set_timer(loop.time(), lambda: due.append("too late"))
    await bench.close()
    await asyncio.sleep(0)
    assert due == ["first"]
