# SPDX-License-Identifier: Apache-2.0
"""A reply under way is finished before a cancellation goes on: else no status could follow."""

from __future__ import annotations

import asyncio

import pytest

from mmar_runner.wire.messages import UpdateCredit
from mmar_runner.wire.part_stream import GrpcPartStream


class SlowContext:
    """Has begun to send, and goes on when it is told to."""

    def __init__(self) -> None:
        self.begun, self.may_end, self.sent = asyncio.Event(), asyncio.Event(), False

    async def write(self, item: object) -> None:
        self.begun.set()
        await self.may_end.wait()
        self.sent = True


async def test_whoever_is_cancelled_in_a_write_leaves_when_it_was_sent():
    context = SlowContext()
    writing = asyncio.create_task(GrpcPartStream(context).write(UpdateCredit(credits=1)))
    await context.begun.wait()
    writing.cancel()
    done, _ = await asyncio.wait({writing}, timeout=0.05)
    assert not done
    context.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert context.sent
