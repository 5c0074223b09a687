# SPDX-License-Identifier: Apache-2.0
"""Sessions begin a few at a time."""

from __future__ import annotations

import asyncio

import pytest

from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.simulation.arrivals import Arrivals
from mmar_runner.testing.recorder import Recorder

REGISTERED = Observation(Topic.REGISTERED, {"client": "a"})


async def test_a_place_is_free_once_a_session_is_registered():
    complete: list[int] = []
    arrivals, recorder = Arrivals(2, lambda: complete.append(1), 1), Recorder()
    begun = asyncio.Event()

    async def second():
        async with arrivals.turn(recorder):
            begun.set()

    async with arrivals.turn(recorder) as observer:
        waiting = asyncio.create_task(second())
        observer.observe(Observation(Topic.CONNECTING, {"target": "t"}))
        await asyncio.sleep(0)
        assert not begun.is_set()
        observer.observe(REGISTERED)
        observer.observe(REGISTERED)  # again, after an outage: no second place
        assert complete == []
        await waiting
    assert complete == [1]
    assert arrivals._places._value == 1
    assert len(recorder.all(Topic.REGISTERED)) == 2


async def test_a_session_that_fails_gives_its_place_up():
    arrivals = Arrivals(3, lambda: None, 1)
    with pytest.raises(RuntimeError, match="no"):
        async with arrivals.turn(Recorder()):
            raise RuntimeError("no")
    async with asyncio.timeout(5), arrivals.turn(Recorder()):
        pass
