# SPDX-License-Identifier: Apache-2.0
"""One attempt of a client at a time, whatever becomes of those before it."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.server.calls.reception import Reception, _Sender
from mmar_runner.server.members.registry import Client
from mmar_runner.server.rounds.open_round import OpenRound
from mmar_runner.storage.model_schema import ModelSchema
from mmar_runner.storage.spool import Spool
from mmar_runner.wire.messages import UpdateBegin
from tests.updates import facts


class _SlowReception(Reception):
    """Attempts take until they are let go, even if they are cancelled: as disk threads do."""

    def __init__(self, tmp_path: Path, current: OpenRound) -> None:
        answers: Any = SimpleNamespace(
            round_for=lambda *_: current, until_refused=lambda *_: current.closed.wait()
        )
        nobody: Any = None
        super().__init__(
            answers,
            nobody,
            Spool(tmp_path / "updates"),
            ModelSchema({}),
            durable=False,
            run_number=1,
        )
        self.let_go = asyncio.Event()
        self.attempts: asyncio.Queue[str] = asyncio.Queue()

    async def _in_turn(self, sender: _Sender, stream: Any) -> bool:
        del stream
        self.attempts.put_nowait(sender.client)
        try:
            await asyncio.Event().wait()
        finally:
            await self.let_go.wait()
        return True


async def test_an_attempt_whose_call_is_cancelled_twice_does_not_keep_the_next_one_out(
    tmp_path: Path,
) -> None:
    """The next one looked for ever at an attempt that was over, and all of the server with it."""
    model: Any = None
    current = OpenRound(0, model, 0.0)
    reception = _SlowReception(tmp_path, current)
    session, begin = Client("site-1", "0" * 64, 0.0), UpdateBegin(round=0)
    sender = _Sender(session, begin, facts(), 0.0)
    stream: Any = None

    first = asyncio.create_task(reception._exclusively(sender, stream))
    await reception.attempts.get()
    first.cancel()  # its connection broke,
    await asyncio.sleep(0)
    first.cancel()  # and its certificate was revoked, or the server stops
    second = asyncio.create_task(reception._exclusively(sender, stream))
    await asyncio.sleep(0)
    assert reception.attempts.empty()  # two never write to one file
    reception.let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    async with asyncio.timeout(10):
        await reception.attempts.get()
    current.closed.set()
    with pytest.raises(RefusedError):
        await second
    await reception.close()
