# SPDX-License-Identifier: Apache-2.0
"""Calls in threads are waited for, however often their caller is cancelled."""

import asyncio
import threading

import pytest

from mmar_runner.waiting.threads import DiskThreads, in_thread


class Call:
    """A call that takes until it is let go."""

    def __init__(self):
        self.begun = threading.Event()
        self.go = threading.Event()
        self.done = False

    def __call__(self, value=None):
        self.begun.set()
        assert self.go.wait(30)
        self.done = True
        if isinstance(value, Exception):
            raise value
        return value


@pytest.fixture(params=["loop", "own"])
async def run(request):
    if request.param == "loop":
        yield in_thread
        return
    threads = DiskThreads(1, name="test")
    yield threads.run
    await threads.close()


async def begun(call):
    assert await asyncio.to_thread(call.begun.wait, 30)


async def test_a_call_returns_or_raises(run):
    call = Call()
    call.go.set()
    assert await run(call, 7) == 7
    with pytest.raises(KeyError):
        await run(call, KeyError("x"))


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_whoever_is_cancelled_leaves_only_when_the_call_is_over(run, times):
    call = Call()
    task = asyncio.create_task(run(call))
    await begun(call)
    for _ in range(times):
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=0.05)
        assert not done
    call.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.done


async def test_what_a_cancelled_caller_does_not_get_is_undone():
    threads, call, undone = DiskThreads(1, name="test"), Call(), []
    task = asyncio.create_task(threads.run(call, "descriptor", undo=undone.append))
    await begun(call)
    task.cancel()
    call.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert undone == ["descriptor"]
    await threads.close()
