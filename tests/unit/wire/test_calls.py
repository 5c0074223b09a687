# SPDX-License-Identifier: Apache-2.0
"""A real server and a real stub: what is refused, what breaks, what arrives."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from mmar_runner.errors import (
    InUseError,
    NonFiniteError,
    RefusedError,
    SchemaMismatchError,
    UnreachableError,
    WireError,
)
from mmar_runner.wire.binding import bind, require_free
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.messages import (
    GetModelRequest,
    HeartbeatReply,
    HeartbeatRequest,
    ModelHeader,
    QuitReply,
    QuitRequest,
    RegisterReply,
    RegisterRequest,
    ResultReply,
    ResultRequest,
    UpdateBegin,
    UpdateCommit,
    UpdateReady,
    UpdateReceipt,
)
from mmar_runner.wire.server import build_server
from mmar_runner.wire.servicer import FederationServicer, UpdateStream
from mmar_runner.wire.status import STATUS_OF_REASON
from mmar_runner.wire.stub import FederationStub
from tests.open_gate import OpenGate
from tests.served import served

if TYPE_CHECKING:
    from mmar_runner.wire.codec import ModelItem


#: What a terminal obeys, and what would stand as a line of its own.
OBEYED = "\x1b]0;owned\x07\r\nerror [FAKE]: it was accepted\u202e"


class Servicer(FederationServicer):
    """Answers as its calls say it should."""

    def __init__(self) -> None:
        self.received = bytearray()

    async def register(self, request: RegisterRequest, peer) -> RegisterReply:
        if request.client_name == "taken":
            raise RefusedError("it is taken", reason="NAME_TAKEN", hint="wähle another")
        if request.client_name == "hated":
            raise RefusedError(OBEYED, reason="NAME_TAKEN", hint=OBEYED)
        return RegisterReply(token=request.client_name)

    async def quit(self, request: QuitRequest, peer) -> QuitReply:
        raise ValueError(f"a secret: {request.token}")

    async def heartbeat(self, request: HeartbeatRequest, peer) -> HeartbeatReply:
        await asyncio.Event().wait()
        return HeartbeatReply()

    async def get_model(self, request: GetModelRequest, peer) -> AsyncIterator[ModelItem]:
        yield ModelHeader(round=request.after_round + 1)
        for number in range(3):
            yield bytes([number]) * 100_000
        if request.model_id == "broken":
            raise NonFiniteError("tensor 'w' holds NaN")

    async def submit_update(self, stream: UpdateStream, peer) -> None:
        while (part := await stream.read()) is not None:
            if isinstance(part, UpdateBegin):
                await stream.write(UpdateReady(credits=8))
            elif isinstance(part, UpdateCommit):
                await stream.write(UpdateReceipt(round=1))
                return
            else:
                self.received += part
                if part[:3] == b"bad":
                    raise SchemaMismatchError("tensor 'w' is missing")

    async def send_result(self, request: ResultRequest, peer) -> ResultReply:
        return ResultReply(reply=request.result)


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Servicer, FederationStub, str]]:
    servicer = Servicer()
    async with served(servicer) as address:
        channel = open_channel(address)
        try:
            yield servicer, FederationStub(channel, address), address
        finally:
            await channel.close()


def test_a_refusal_keeps_its_reason_and_hint() -> None:
    async def scenario() -> None:
        async with serving() as (_, stub, _address):
            assert (await stub.register(RegisterRequest(client_name="site-1"))).token == "site-1"
            with pytest.raises(RefusedError, match="it is taken") as caught:
                await stub.register(RegisterRequest(client_name="taken"))
            assert caught.value.reason == "NAME_TAKEN"
            assert caught.value.hint == "wähle another"

    asyncio.run(scenario())


def test_a_refusal_of_a_hostile_server_is_one_harmless_line() -> None:
    async def scenario() -> None:
        async with serving() as (_, stub, _address):
            with pytest.raises(RefusedError) as caught:
                await stub.register(RegisterRequest(client_name="hated"))
            assert caught.value.message.isprintable()
            assert caught.value.hint is not None
            assert caught.value.hint.isprintable()
            assert r"\x1b]0;owned\x07\r\nerror [FAKE]" in caught.value.hint

    asyncio.run(scenario())


def test_an_unexpected_error_tells_a_peer_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with serving() as (_, stub, _address):
            with pytest.raises(RefusedError) as caught:
                await stub.quit(QuitRequest(token="t0k3n"))
            assert caught.value.reason == "INTERNAL"
            assert "t0k3n" not in caught.value.message

    asyncio.run(scenario())
    assert "a secret" in caplog.text


def test_nobody_there_and_nobody_answering_are_unreachable() -> None:
    async def scenario() -> None:
        channel = open_channel("127.0.0.1:1")
        nobody = FederationStub(channel, "127.0.0.1:1")
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1"):
            await nobody.register(RegisterRequest(), timeout=5)
        await channel.close()
        async with serving() as (_, stub, _address):
            with pytest.raises(UnreachableError, match="it did not answer in time"):
                await stub.heartbeat(HeartbeatRequest(), timeout=0.2)

    asyncio.run(scenario())


def test_a_server_that_stops_is_said_to_have_closed_the_connection() -> None:
    """gRPC's own words were shown: Cancelling all calls."""

    class Holding(Servicer):
        def __init__(self) -> None:
            super().__init__()
            self.called = asyncio.Event()

        async def heartbeat(self, request: HeartbeatRequest, peer) -> HeartbeatReply:
            self.called.set()
            return await super().heartbeat(request, peer)

    async def scenario() -> None:
        servicer = Holding()
        async with served(servicer) as address:
            channel = open_channel(address)
            stub = FederationStub(channel, address)
            calling = asyncio.create_task(stub.heartbeat(HeartbeatRequest(), timeout=30))
            await servicer.called.wait()
        with pytest.raises(UnreachableError, match="it has closed the connection; it is stopping"):
            await calling
        await channel.close()

    asyncio.run(scenario())


def test_a_model_arrives_whole_and_in_order() -> None:
    async def scenario() -> None:
        async with serving() as (_, stub, _address):
            header, *chunks = [part async for part in stub.get_model(GetModelRequest())]
            assert isinstance(header, ModelHeader)
            assert b"".join(bytes(c) for c in chunks) == b"".join(
                bytes([n]) * 100_000 for n in range(3)
            )

    asyncio.run(scenario())


def test_a_model_that_breaks_off_is_an_error_not_data() -> None:
    async def scenario() -> None:
        async with serving() as (_, stub, _address):
            with pytest.raises(RefusedError) as caught:
                async for _part in stub.get_model(GetModelRequest(model_id="broken")):
                    pass
            assert caught.value.reason == "NON_FINITE"

    asyncio.run(scenario())


def test_an_update_is_received_and_gets_one_receipt() -> None:
    async def scenario() -> None:
        async with serving() as (servicer, stub, _address):
            call = stub.submit_update()
            await call.write(UpdateBegin(round=1))
            assert await call.read() == UpdateReady(credits=8)
            await call.write(b"one")
            await call.write(memoryview(b"two"))
            await call.write(UpdateCommit())
            assert await call.read() == UpdateReceipt(round=1)
            assert await call.read() is None
            assert servicer.received == b"onetwo"

    asyncio.run(scenario())


def test_a_refused_update_says_why_to_whoever_reads() -> None:
    async def scenario() -> None:
        async with serving() as (_, stub, _address):
            call = stub.submit_update()
            await call.write(UpdateBegin(round=1))
            await call.read()
            await call.write(b"bad")
            with pytest.raises(RefusedError, match="tensor 'w' is missing") as caught:
                await call.read()
            assert caught.value.reason == "SCHEMA"
            with pytest.raises(WireError):
                await call.write(b"more")

    asyncio.run(scenario())


def test_two_servers_cannot_share_a_port() -> None:
    async def scenario() -> None:
        async with serving() as (servicer, _stub, address):
            second = build_server(servicer, OpenGate())
            told = ("", 0, "")
            # An exception kept by pytest would keep the server beyond its event loop,
            # which gRPC does not survive.
            try:
                bind(second, address)
            except InUseError as error:
                told = (error.reason, error.exit_code, error.message)
            await second.stop(0)
            assert told[:2] == ("ADDRESS_IN_USE", 1)
            assert "cannot listen" in told[2]

    asyncio.run(scenario())


def test_a_port_that_is_taken_is_known_before_it_is_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InUseError, match="cannot listen") as refused:
            require_free(address)
        assert refused.value.reason == "ADDRESS_IN_USE"
        # A client's kit names the old port: without a word no client finds the new one.
        assert "give every client that one: --server HOST:PORT" in refused.value.hint
        require_free("127.0.0.1:0")
        require_free("unix:/run/none")
    require_free(address)


def test_every_reason_is_an_upper_case_id() -> None:
    assert all(reason.replace("_", "").isupper() for reason in STATUS_OF_REASON)
