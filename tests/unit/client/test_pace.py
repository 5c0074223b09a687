# SPDX-License-Identifier: Apache-2.0
"""Whoever only drips is given up; whoever sends, however long it takes, is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mmar_runner.client.connection import least_pace as pace
from mmar_runner.client.transfer import downloads
from mmar_runner.client.transfer.model_file import IncomingModel
from mmar_runner.errors import UnreachableError
from mmar_runner.wire.messages import ModelHeader
from tests.jumping_time import in_jumping_time


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "PACE_SECONDS", 30)


async def sent(count: int, size: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        await asyncio.sleep(5)
        yield bytes(size)


def incoming(folder: Path, total: int) -> IncomingModel:
    header = ModelHeader(round=0, total_bytes=total, sha256="0" * 64)
    return IncomingModel(folder / "model", header)


@in_jumping_time
async def test_a_model_that_drips_is_given_up_and_what_came_is_kept(tmp_path: Path) -> None:
    model = incoming(tmp_path, 1000)
    with pytest.raises(UnreachableError) as caught:
        await downloads.pump(sent(1000, 1), model, lambda: None)
    model.close()
    assert caught.value.reason == "TOO_SLOW"
    assert "the model" in caught.value.message
    assert 0 < model.offset < 20


@in_jumping_time
async def test_a_model_that_comes_takes_as_long_as_it_needs(tmp_path: Path) -> None:
    count = 12  # twice as long as a drip would be listened to
    model = incoming(tmp_path, count * pace.LEAST_BYTES)
    await downloads.pump(sent(count, pace.LEAST_BYTES), model, lambda: None)
    model.close()
    assert model.offset == model.total_bytes


@in_jumping_time
async def test_the_time_that_the_client_needs_itself_is_not_the_servers() -> None:
    async def at_once() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x"

    items, held = at_once(), pace.Pace("it")
    for _ in range(3):
        assert await held.next(items) == b"x"
        await asyncio.sleep(60)  # such as a disk that is slow
    assert await held.next(items) is None
