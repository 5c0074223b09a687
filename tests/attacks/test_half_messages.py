# SPDX-License-Identifier: Apache-2.0
"""Calls whose message never ends, and peers that read nothing of what they are told."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.wire.limits import MAX_REQUEST_BYTES, MAX_STREAMS_PER_CONNECTION
from mmar_runner.wire.messages import UpdatePart
from tests.attacks import raw_http2 as raw

SERVICE = "/mmar_runner.v1.FederatedTraining"
CONNECTIONS = 6
#: What half messages may cost.
GROWTH_BYTES = 48 << 20


def message(length: int, data: bytes) -> bytes:
    """Return the beginning of a gRPC message of some length."""
    return b"\0" + length.to_bytes(4, "big") + data


async def heartbeat(arena: Any) -> float:
    """Return how long another site's heartbeat takes."""
    channel = arena.dial(arena.address, arena.project.tls("witness"))
    async with arena.joined(channel, "witness") as witness:
        begun = time.monotonic()
        await witness.heartbeat()
        seconds = time.monotonic() - begun
    await channel.close()
    return seconds


def test_c03_half_messages_fill_no_memory(small: Any, project: Any) -> None:
    before = small.memory()
    most = MAX_REQUEST_BYTES - 5
    half = message(most, bytes(most - 1000))
    connections = [raw.RawHttp2(small.address, project.tls("evil-a")) for _ in range(CONNECTIONS)]
    for connection in connections:
        for _ in range(MAX_STREAMS_PER_CONNECTION):
            connection.send(connection.call(f"{SERVICE}/Heartbeat"), half)
    assert small.memory() - before < GROWTH_BYTES
    assert asyncio.run(heartbeat(small)) < 1
    for connection in connections:
        connection.close()
    reasons = ("PROTOCOL", "TOO_MANY_CALLS", "TOO_SLOW")
    small.evidence.uncounted |= {("client evil-a", reason) for reason in reasons}


def test_c03_who_may_not_call_is_told_so_before_its_message_is_there(
    small: Any, project: Any, forge: Any
) -> None:
    """A server's certificate: the right authority, another role."""
    admin = project.forge(forge.uri("lead@example.org", "admin"))
    with raw.RawHttp2(small.address, admin) as connection:
        stream = connection.call(f"{SERVICE}/Heartbeat")
        connection.send(stream, message(1000, b"x"))
        heard = connection.listen(5)
    assert (raw.HEADERS, stream) in heard
    small.evidence.expect("admin lead@example.org", "ROLE")


@pytest.mark.parametrize("method", ["SubmitUpdate", "Heartbeat"])
def test_c01_a_call_without_a_message_is_answered(small: Any, project: Any, method: str) -> None:
    with raw.RawHttp2(small.address, project.tls("evil-b")) as connection:
        stream = connection.call(f"{SERVICE}/{method}")
        connection.finish(stream)
        assert (raw.HEADERS, stream) in connection.listen(5)
    if method == "Heartbeat":
        small.evidence.expect("client evil-b", "PROTOCOL")


def test_c01_a_peer_that_reads_nothing_keeps_nobody_from_a_new_attempt(large: Any) -> None:
    """Its window stays shut: what it is told never leaves, and the call has to end all the same."""

    async def play(attacker: Any) -> Any:
        begin = UpdatePart(begin=attacker.begin(attacker.model)).SerializeToString()
        tls = attacker.tls
        shut = {raw.INITIAL_WINDOW_SIZE: 0}
        with await asyncio.to_thread(raw.RawHttp2, large.address, tls, shut) as connection:
            stream = connection.call(f"{SERVICE}/SubmitUpdate")
            await asyncio.to_thread(connection.send, stream, message(len(begin), begin))
            while (raw.HEADERS, stream) not in await asyncio.to_thread(connection.listen, 0.1):
                pass  # until the server begins to answer, and cannot
            with pytest.raises(RefusedError, match="sha256"):
                await asyncio.wait_for(attacker.submit(attacker.model, sha="0" * 64), 20)
        large.count(attacker, "DIGEST")
        large.count(attacker, "TOO_MANY_UPLOADS")

    large.attack(play)
