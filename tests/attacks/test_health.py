# SPDX-License-Identifier: Apache-2.0
"""Health checks: who may ask, and what asking without end comes to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from mmar_runner.errors import UnreachableError
from mmar_runner.server.gate.certificate_gate import RUNNING_OF_METHOD
from mmar_runner.wire.health import MOST_WATCHES
from mmar_runner.wire.health_stub import HealthStub
from mmar_runner.wire.limits import MAX_STREAMS_PER_CONNECTION
from mmar_runner.wire.status import REASON_KEY
from tests.attacks import raw_http2 as raw

SERVICE = "mmar_runner.v1.FederatedTraining"
QUICK_SECONDS = 1.0


@pytest.fixture(scope="module", autouse=True)
def held() -> Iterator[list[raw.RawHttp2]]:
    """Connections that stay open; made first, so that the arenas end before they are closed."""
    connections: list[raw.RawHttp2] = []
    yield connections
    for connection in connections:
        connection.close()


async def ask(player: Any) -> str:
    return await HealthStub(player.channel).check(SERVICE, timeout=5)


def watch(channel: Any) -> Any:
    return health_pb2_grpc.HealthStub(channel).Watch(HealthCheckRequest(service=SERVICE))


async def first_word(call: Any) -> str:
    """Return what a watcher is told first: a status, or why it may not watch."""
    try:
        return str(HealthCheckResponse.ServingStatus.Name((await call.read()).status))
    except grpc.aio.AioRpcError as error:
        return str(dict(error.trailing_metadata() or ())[REASON_KEY])


@pytest.mark.parametrize("who", ["nobody", "of_another_authority"])
def test_a01_who_has_no_certificate_of_the_project_is_told_nothing(small: Any, who: str) -> None:
    tls = None
    if who == "of_another_authority":
        other = small.project.other_authority()
        tls = small.project.forge("spiffe://demo/client/site-1", issuer=other)
    lines = len(list(small.evidence.audit()))
    with pytest.raises(UnreachableError):
        small.strike(ask, tls)
    assert len(list(small.evidence.audit())) == lines
    assert small.strike(ask, small.project.tls("witness")) == "SERVING"


@pytest.mark.parametrize("who", ["site-1", "lead@example.org", "localhost"])
def test_role_every_participant_may_ask(small: Any, who: str) -> None:
    assert small.strike(ask, small.project.tls(who)) == "SERVING"


def test_c03_one_certificate_watches_a_few_times_at_once(small: Any) -> None:
    """Beyond that it is told so; others watch on, and itself it may still ask."""
    asked = 4 * MAX_STREAMS_PER_CONNECTION

    async def play(player: Any) -> list[str]:
        channels = [player.another_channel() for _ in range(4)]
        words = [first_word(watch(channels[n // 16])) for n in range(asked)]
        said = await asyncio.gather(*words)
        assert await ask(player) == "SERVING"
        async with small.guest("witness") as witness:
            begun = time.monotonic()
            assert await first_word(watch(witness.channel)) == "SERVING"
            assert time.monotonic() - begun < QUICK_SECONDS
        for channel in channels:
            await channel.close(None)
        return said

    said = small.strike(play, small.project.tls("evil-b"), name="evil-b")
    most = RUNNING_OF_METHOD["Watch"]
    assert sorted(set(said)) == ["SERVING", "TOO_MANY_CALLS"]
    assert said.count("SERVING") == most
    small.evidence.refusals["client evil-b", "TOO_MANY_CALLS"] += asked - most


def test_c01_who_watches_and_reads_nothing_keeps_nobody_waiting(
    small: Any, held: list[raw.RawHttp2]
) -> None:
    """The window stays shut: the answer waits for ever, and the run goes on beside it.

    The arena's end shows that: the server says that it is no longer ready, and ends.
    """
    shut = {raw.INITIAL_WINDOW_SIZE: 0}
    connection = raw.RawHttp2(small.address, small.project.tls("evil-a"), shut)
    request = HealthCheckRequest(service=SERVICE).SerializeToString()
    for _ in range(RUNNING_OF_METHOD["Watch"]):
        stream = connection.call("/grpc.health.v1.Health/Watch")
        connection.send(stream, b"\0" + len(request).to_bytes(4, "big") + request)
        connection.finish(stream)
    begun = time.monotonic()
    assert small.strike(ask, small.project.tls("witness")) == "SERVING"
    assert time.monotonic() - begun < QUICK_SECONDS
    held.append(connection)


def test_c03_on_loopback_all_together_watch_a_few_times(plain: Any) -> None:
    async def play(player: Any) -> list[str]:
        number = MOST_WATCHES // MAX_STREAMS_PER_CONNECTION + 1
        channels = [player.another_channel() for _ in range(number)]
        held = [watch(channels[n // MAX_STREAMS_PER_CONNECTION]) for n in range(MOST_WATCHES)]
        said = await asyncio.gather(*map(first_word, held))
        said.append(await first_word(watch(channels[-1])))
        assert await ask(player) == "SERVING"
        for channel in channels:
            await channel.close(None)
        return said

    said = plain.strike(play, None)
    assert said == [*["SERVING"] * MOST_WATCHES, "TOO_MANY_CALLS"]
    plain.evidence.refusals["", "TOO_MANY_CALLS"] += 1
