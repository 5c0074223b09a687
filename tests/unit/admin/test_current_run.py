# SPDX-License-Identifier: Apache-2.0
"""Calls are the open run's, end with it, and are told to come again between runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mmar_runner.admin.clients.current_run import CurrentRun
from mmar_runner.errors import RefusedError


class Run:
    """A run whose calls end when a test says so, or never."""

    def __init__(self, name: str = "one") -> None:
        self.name = name
        self.under_way = asyncio.Event()
        self.go_on = asyncio.Event()
        self.cleaned = 0

    async def heartbeat(self, request: Any, peer: Any) -> str:
        return self.name

    async def register(self, request: Any, peer: Any) -> str:
        self.under_way.set()
        try:
            await self.go_on.wait()
        finally:
            self.cleaned += 1
        return self.name

    async def get_model(self, request: Any, peer: Any) -> Any:
        yield "header"
        self.under_way.set()
        await self.go_on.wait()


def run(name: str = "one") -> Any:
    return Run(name)


async def reason(call: Any) -> str:
    with pytest.raises(RefusedError) as refused:
        await call
    return str(refused.value.reason)


async def read(stream: Any) -> list[Any]:
    return [item async for item in stream]


async def test_between_runs_everybody_is_told_to_come_again() -> None:
    current = CurrentRun()
    for call in (current.register, current.quit, current.heartbeat, current.send_result):
        assert await reason(call(None, None)) == "NO_RUN"
    assert await reason(read(current.get_model(None, None))) == "NO_RUN"
    assert await reason(current.submit_update(None, None)) == "NO_RUN"


async def test_calls_are_the_open_runs() -> None:
    current = CurrentRun()
    for name in ("one", "two"):
        async with current.serving(run(name)):
            assert await current.heartbeat(None, None) == name
    assert await reason(current.heartbeat(None, None)) == "NO_RUN"


async def test_calls_end_with_their_run_and_are_told_so() -> None:
    current, open_run = CurrentRun(), run()
    async with asyncio.timeout(20):
        async with current.serving(open_run):
            unary = asyncio.create_task(current.register(None, None))
            await open_run.under_way.wait()
            open_run.under_way.clear()
            stream = asyncio.create_task(read(current.get_model(None, None)))
            await open_run.under_way.wait()
        assert open_run.cleaned == 1, "the block ends once its calls have"
        for task in (unary, stream):
            assert await reason(task) == "SERVER_STOPPING"
    assert current._calls == set()
    assert current._ended == set()


async def test_a_call_that_is_cancelled_by_its_caller_is_cancelled() -> None:
    current, open_run = CurrentRun(), run()
    async with current.serving(open_run):
        task = asyncio.create_task(current.register(None, None))
        await open_run.under_way.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert current._calls == set()


async def test_a_call_that_is_over_is_not_ended() -> None:
    current, open_run = CurrentRun(), run()
    async with current.serving(open_run):
        task = asyncio.create_task(current.register(None, None))
        await open_run.under_way.wait()
        open_run.go_on.set()
        assert await task == "one"


async def test_the_next_runs_calls_do_not_end_with_the_one_before() -> None:
    current, first, second = CurrentRun(), run("one"), run("two")
    async with current.serving(first):
        pass
    async with current.serving(second):
        task = asyncio.create_task(current.register(None, None))
        await second.under_way.wait()
        second.go_on.set()
        assert await task == "two"


async def test_a_run_that_ends_badly_lets_nobody_in_either() -> None:
    current = CurrentRun()
    with pytest.raises(ValueError, match="broken"):
        async with current.serving(run()):
            raise ValueError("broken")
    assert await reason(current.heartbeat(None, None)) == "NO_RUN"
