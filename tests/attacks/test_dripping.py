# SPDX-License-Identifier: Apache-2.0
"""A sender that drips is cut, so that it keeps no place from those who send."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.server.calls import streaming
from mmar_runner.server.calls.windows import SharedWindow
from mmar_runner.waiting.threads import DiskThreads
from mmar_runner.wire.messages import UpdateCommit


class Sender:
    """Sends a chunk every ten milliseconds, for ever or until its Commit."""

    def __init__(self, chunk: bytes, count: int) -> None:
        self._chunk = chunk
        self._count = count

    async def read(self) -> bytes | UpdateCommit:
        await asyncio.sleep(0.01)
        self._count -= 1
        return self._chunk if self._count >= 0 else UpdateCommit(sha256="done")

    async def write(self, item: object) -> None:
        """Take credits, and use more than they allow."""


class File:
    offset = 0

    def write_many(self, chunks: list[bytes]) -> None:
        """Keep nothing."""


async def received(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(streaming, "_CHUNK_SECONDS", 0.3)
    disk = DiskThreads(1, name="drip")
    window = SharedWindow(8, least=1, most=8)
    receiver = streaming.ChunkReceiver(
        cast("Any", sender), cast("Any", File()), disk, window=window, progress=lambda _: None
    )
    try:
        return await receiver.receive()
    finally:
        await disk.close()


async def test_one_byte_at_a_time_is_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RefusedError) as refused:
        await received(Sender(b"x", 10**6), monkeypatch)
    assert refused.value.reason == "TOO_SLOW"


async def test_whoever_sends_enough_may_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await received(Sender(bytes(32 << 10), 60), monkeypatch) == "done"
