# SPDX-License-Identifier: Apache-2.0
"""Receiving models: named after a header that was used with a call that had been given up."""

from __future__ import annotations

import asyncio
from hashlib import sha256

import pytest

from mmar_runner.client.files.slots import ModelSlots, SpareFiles
from mmar_runner.client.transfer.downloads import ModelDownloads
from mmar_runner.errors import ProtocolError
from mmar_runner.wire.messages import ModelHeader, RegisterReply


class Call:
    """One GetModel whose items a test lets come."""

    def __init__(self, request):
        self.request = request
        self.cancelled = False
        self._items = asyncio.Queue()

    def give(self, number):
        data = b"model of round %d" % number
        facts = {"total_bytes": len(data), "sha256": sha256(data).hexdigest(), "inline": data}
        self._items.put_nowait(ModelHeader(round=number, attempt=1, **facts))

    def cancel(self):
        self.cancelled = True

    async def __aiter__(self):
        while True:
            yield await self._items.get()


class Server:
    """Remembers the calls that were opened."""

    def __init__(self):
        self.calls = []
        self.registration = RegisterReply()

    async def call(self, work):
        return await work(self, "token")

    def get_model(self, request):
        self.calls.append(Call(request))
        return self.calls[-1]


class Files:
    def __init__(self, folder):
        self.models = ModelSlots(SpareFiles(folder))


class Deaf:
    def observe(self, observation):
        pass


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def downloads(server, tmp_path):
    return ModelDownloads(server, Files(tmp_path), Deaf())


async def started(coroutine):
    task = asyncio.create_task(coroutine)
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_one_call_brings_one_model_after_the_other(server, downloads):
    first = await started(downloads.next_task(-1))
    server.calls[0].give(0)
    assert (await first).round == 0
    second = await started(downloads.next_task(0, 1))
    server.calls[0].give(1)
    assert (await second).round == 1
    assert len(server.calls) == 1


async def test_a_header_of_a_call_that_was_given_up_meanwhile_is_not_used(server, downloads):
    task = await started(downloads.next_task(3, 1))
    server.calls[0].give(4)  # it has come, and whoever waits for it has not been woken yet
    downloads.ask_anew()
    assert server.calls[0].cancelled
    for _ in range(5):
        await asyncio.sleep(0)
    server.calls[1].give(5)
    assert (await task).round == 5
    assert [call.request.after_round for call in server.calls] == [3, -1]


async def test_a_compressed_model_that_nobody_agreed_on_is_not_unpacked(server, downloads):
    asking = await started(downloads.next_task(-1))
    facts = {"total_bytes": 9, "sha256": "0" * 64, "inline": b"frame", "packed": True}
    server.calls[0]._items.put_nowait(ModelHeader(round=0, attempt=1, **facts))
    with pytest.raises(ProtocolError) as error:
        await asking
    assert error.value.reason == "COMPRESSION"
