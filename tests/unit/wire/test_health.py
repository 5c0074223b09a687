# SPDX-License-Identifier: Apache-2.0
"""Health checks over a real connection, asked with the library's own stub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from mmar_runner.errors import RefusedError, WireError
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.health import MOST_WATCHES, Health
from mmar_runner.wire.health_stub import HealthStub
from mmar_runner.wire.limits import MAX_STREAMS_PER_CONNECTION
from tests.served import Nobody, served

SERVICE = "mmar_runner.v1.FederatedTraining"
SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


@pytest.fixture
def health() -> Health:
    return Health(SERVICE)


@asynccontextmanager
async def asked(health: Health | None) -> AsyncIterator[Any]:
    async with served(Nobody(), health=health) as address, open_channel(address) as channel:
        yield channel


async def status(call: Any) -> int:
    return int((await call.read()).status)


async def refused(stub: Any) -> bool:
    """Watch once more; return whether there are too many who do."""
    try:
        await stub.Watch(HealthCheckRequest()).read()
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return False


async def test_the_standard_client_is_answered(health: Health) -> None:
    async with asked(health) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert (await stub.Check(HealthCheckRequest())).status == SERVING
        assert (await stub.Check(HealthCheckRequest(service=SERVICE))).status == NOT_SERVING
        health.set(SERVICE, serving=True)
        assert (await stub.Check(HealthCheckRequest(service=SERVICE))).status == SERVING


async def test_a_service_that_is_not_there_is_not_found(health: Health) -> None:
    async with asked(health) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await health_pb2_grpc.HealthStub(channel).Check(HealthCheckRequest(service="x\x1b[2J"))
        assert error.value.code() is grpc.StatusCode.NOT_FOUND
        assert str(error.value.details()).isprintable()
        with pytest.raises(RefusedError) as refused:
            await HealthStub(channel).check("nope")
    assert refused.value.reason == "SERVICE_UNKNOWN"
    assert SERVICE in str(refused.value.hint)


async def test_who_watches_hears_of_every_change_and_of_the_end(health: Health) -> None:
    async with asked(health) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(HealthCheckRequest(service=SERVICE))
        assert await status(watch) == NOT_SERVING
        health.set(SERVICE, serving=True)
        assert await status(watch) == SERVING
        health.set(SERVICE, serving=True)  # no change
        health.set(SERVICE, serving=False)
        assert await status(watch) == NOT_SERVING
        health.close()
        assert await watch.read() is grpc.aio.EOF
        health.set(SERVICE, serving=True)  # too late
        assert (await HealthStub(channel).check("")) == "NOT_SERVING"
        assert (await HealthStub(channel).check(SERVICE)) == "NOT_SERVING"


async def test_the_server_itself_is_watched_to_its_end(health: Health) -> None:
    async with asked(health) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(HealthCheckRequest())
        assert await status(watch) == SERVING
        health.close()
        assert await status(watch) == NOT_SERVING
        assert await watch.read() is grpc.aio.EOF


async def test_what_is_not_there_is_watched_as_the_standard_says(health: Health) -> None:
    async with asked(health) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(HealthCheckRequest(service="nope"))
        assert await status(watch) == HealthCheckResponse.SERVICE_UNKNOWN
        health.close()
        assert await watch.read() is grpc.aio.EOF


async def test_no_more_than_so_many_watch_and_who_leaves_makes_room(health: Health) -> None:
    async with served(Nobody(), health=health) as address:
        number = MOST_WATCHES // MAX_STREAMS_PER_CONNECTION + 1
        channels = [open_channel(address) for _ in range(number)]
        held = [
            health_pb2_grpc.HealthStub(channels[n // MAX_STREAMS_PER_CONNECTION]).Watch(
                HealthCheckRequest()
            )
            for n in range(MOST_WATCHES)
        ]
        assert [await status(call) for call in held] == [SERVING] * MOST_WATCHES
        last = health_pb2_grpc.HealthStub(channels[-1])
        assert await refused(last)
        assert (await last.Check(HealthCheckRequest())).status == SERVING
        held[0].cancel()
        while await refused(last):  # the server hears a little later that one has left
            pass
        for channel in channels:
            await channel.close(None)


async def test_a_server_without_health_does_not_know_the_call() -> None:
    async with asked(None) as channel:
        with pytest.raises(WireError) as error:
            await HealthStub(channel).check("")
    assert error.value.reason == "UNIMPLEMENTED"
