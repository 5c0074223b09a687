# SPDX-License-Identifier: Apache-2.0
"""Work that is left if something happens, and is waited for whatever happens."""

import asyncio

import pytest

from mmar_runner.waiting.races import unless


async def returns(value):
    await asyncio.sleep(0)
    return value


async def fails():
    raise KeyError("x")


async def until(event):
    await event.wait()


async def test_work_that_ends_first_has_its_result_or_its_error():
    never = asyncio.Event()
    done = await unless(returns(7), never.wait())
    assert done.result() == 7
    failed = await unless(fails(), never.wait())
    with pytest.raises(KeyError):
        failed.result()


async def test_work_is_left_when_something_happens():
    happened, ended = asyncio.Event(), []

    async def work():
        try:
            happened.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # whoever is left may still have to put things away
            ended.append(True)

    done = await unless(work(), happened.wait())
    assert done.cancelled()
    assert ended == [True]


async def test_work_may_still_take_as_long_as_it_is_granted():
    happened, go = asyncio.Event(), asyncio.Event()

    def grace():
        go.set()
        return 30.0

    happened.set()
    done = await unless(until(go), happened.wait(), grace=grace)
    assert not done.cancelled()


async def test_a_caller_that_is_cancelled_twice_still_waits_for_the_work():
    putting_away, go, ended = asyncio.Event(), asyncio.Event(), []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            putting_away.set()
            while not go.is_set():  # as a thread does, it goes on until it is done
                try:
                    await go.wait()
                except asyncio.CancelledError:
                    continue
            ended.append(True)

    task = asyncio.create_task(unless(work(), asyncio.Event().wait()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await putting_away.wait()
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=0.05)
    assert not done
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]
