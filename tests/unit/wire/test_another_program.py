# SPDX-License-Identifier: Apache-2.0
"""A port where something listens that is no server of ours."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from mmar_runner.errors import UnreachableError
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.proto.federated_training_pb2 import RegisterRequest
from mmar_runner.wire.stub import FederationStub

GREETINGS = {
    "web": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.6\r\n",
}


@asynccontextmanager
async def answering(greeting):
    async def answer(_, writer):
        writer.write(greeting)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("who", GREETINGS)
async def test_it_is_said_in_words_and_tried_again(who):
    async with answering(GREETINGS[who]) as target:
        channel = open_channel(target)
        try:
            with pytest.raises(UnreachableError) as caught:
                await FederationStub(channel, target).register(RegisterRequest(), timeout=30)
        finally:
            await channel.close(None)

    assert caught.value.message == f"{target} answers, but is no gRPC server"
    assert "is this the port of run-server" in caught.value.hint
    assert "--connect-timeout" in caught.value.hint
