# SPDX-License-Identifier: Apache-2.0
"""A server that asks a client for too much at once, and too long: some of it is held, not all."""

from __future__ import annotations

import asyncio
from typing import Any

from mmar_runner.client.standing.agent import AT_ONCE, StandingClient
from mmar_runner.orders.order import MAX_ORDER_BYTES
from mmar_runner.wire.messages import AdminRequest


class Agent(StandingClient):
    """A client whose answers take until the test says so."""

    def __init__(self) -> None:
        self._answering = set()
        self.begun: list[AdminRequest] = []
        self.go_on = asyncio.Event()

    async def _answer(self, request: AdminRequest) -> None:
        self.begun.append(request)
        await self.go_on.wait()

    async def take_all(self, requests: list[AdminRequest]) -> None:
        for request in requests:
            await self._take(request)


def asked(count: int, **facts: Any) -> list[AdminRequest]:
    return [AdminRequest(request_id=str(number), **facts) for number in range(count)]


async def test_some_requests_are_answered_at_once_and_the_others_wait() -> None:
    agent = Agent()
    taking = asyncio.create_task(agent.take_all(asked(3 * AT_ONCE)))
    done, _ = await asyncio.wait({taking}, timeout=0.2)
    assert not done
    assert len(agent.begun) == AT_ONCE
    agent.go_on.set()
    await taking
    while agent._answering:
        await asyncio.wait(agent._answering)
    assert [one.request_id for one in agent.begun] == [str(n) for n in range(3 * AT_ONCE)]


async def test_of_what_is_too_long_no_more_is_held_than_shows_that() -> None:
    agent = Agent()
    agent.go_on.set()
    await agent.take_all(asked(1, order=b"x" * (2 << 20), context=b"y" * (1 << 20)))
    await agent.take_all(asked(1, order=b"x" * MAX_ORDER_BYTES, context=b"{}"))
    await asyncio.wait(agent._answering)
    long, fits = agent.begun
    assert len(long.order) == MAX_ORDER_BYTES + 1
    assert len(long.context) < 1 << 17
    assert (len(fits.order), fits.context) == (MAX_ORDER_BYTES, b"{}")
