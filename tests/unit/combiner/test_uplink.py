# SPDX-License-Identifier: Apache-2.0
"""Where the halves of a combiner meet: what the session gives, and what the server is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mmar_runner.combiner.uplink import Uplink
from mmar_runner.errors import RunStoppedError
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.server.upstream import GivenModel, SumMade, SumWanted
from mmar_runner.wire.messages import RegisterReply

PLACE = Path("update.safetensors")


def model(number: int) -> GivenModel:
    return GivenModel(number, Path(f"model_{number}"), "0" * 64)


def made(number: int) -> SumMade:
    return SumMade(number, "f" * 64, UpdateKind.WEIGHTS, ())


def play(work: Callable[[Uplink], Awaitable[None]]) -> None:
    async def played() -> None:
        async with asyncio.timeout(5):
            await work(Uplink(RegisterReply(run_id="run", epoch="epoch")))

    asyncio.run(played())


def test_a_sum_is_wanted_of_the_round_whose_model_is_there_and_goes_up() -> None:
    async def work(uplink: Uplink) -> None:
        answer = uplink.give(model(3), PLACE)
        assert await uplink.first_model() == model(3)
        assert await uplink.news(3) == SumWanted(PLACE)
        uplink.hand_up(made(3))
        assert await answer == made(3)

    play(work)


def test_once_it_went_up_the_next_model_is_waited_for() -> None:
    async def work(uplink: Uplink) -> None:
        uplink.give(model(3), PLACE)
        uplink.hand_up(made(3))
        news = asyncio.create_task(uplink.news(3))
        await asyncio.sleep(0)
        assert not news.done()
        uplink.give(model(4), PLACE)
        assert await news == model(4)

    play(work)


def test_whoever_lost_it_may_ask_for_the_same_sum_again() -> None:
    async def work(uplink: Uplink) -> None:
        uplink.give(model(3), PLACE).cancel()
        uplink.hand_up(made(3))  # nobody waits for it any more
        again = uplink.give(model(3), PLACE)
        assert await uplink.news(3) == SumWanted(PLACE)
        uplink.hand_up(made(3))
        assert await again == made(3)

    play(work)


def test_the_sum_of_an_older_round_answers_no_newer_one() -> None:
    async def work(uplink: Uplink) -> None:
        answer = uplink.give(model(4), PLACE)
        uplink.hand_up(made(3))
        assert not answer.done()

    play(work)


def test_the_end_above_ends_every_wait() -> None:
    async def work(uplink: Uplink) -> None:
        waits = [asyncio.create_task(uplink.first_model()), asyncio.create_task(uplink.news(0))]
        await asyncio.sleep(0)
        uplink.end(RunStatus.FINISHED, "")
        for wait in waits:
            with pytest.raises(RunStoppedError):
                await wait

    play(work)
