# SPDX-License-Identifier: Apache-2.0
"""Floods: uploads, streams, connections and heartbeats without end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from typing import Any

from mmar_runner.errors import RefusedError, UnreachableError, WireError
from mmar_runner.server.calls.attempts import MOST_SPOILED
from mmar_runner.server.gate.certificate_gate import CALLS_AT_ONCE, CALLS_PER_SECOND, RUNNING_CALLS
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.credentials import channel_credentials
from mmar_runner.wire.limits import CONNECTION_IDLE_MS, HANDSHAKE_TIMEOUT_MS
from mmar_runner.wire.messages import HeartbeatRequest
from mmar_runner.wire.stub import FederationStub

#: How TLS says that it could not make sense of something: any alert of 7 bytes.
ALERT = b"\x15\x03\x01\x00\x02\x02\x32"
#: The first frame that HTTP/2 asks of both sides.
EMPTY_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
QUICK_SECONDS = 1.0
JOIN_SECONDS = 3.0


async def served_quickly(attacker: Any) -> None:
    begun = time.monotonic()
    await attacker.heartbeat()
    assert time.monotonic() - begun < QUICK_SECONDS


async def witnessed(arena: Any) -> None:
    """Another site joins and is served while something is going on."""
    begun = time.monotonic()
    tls = arena.project.tls("witness")
    channel = open_channel(arena.address, credentials=channel_credentials(tls))
    async with arena.joined(channel, "witness") as witness:
        assert time.monotonic() - begun < JOIN_SECONDS
        await served_quickly(witness)
    await channel.close()


def staged(arena: Any, owner: str) -> int:
    """Return how many files an owner's clients have in the spool."""
    spool = arena.server.workspace / "run_1" / "updates"
    return len(list(spool.glob(f"round_*/{owner}*.part")))


def test_c01_64_uploads_of_one_token_leave_one(large: Any) -> None:
    """They share one file: at most one of them may have it, whatever their order."""

    async def play(attacker: Any) -> None:
        half = attacker.model[: len(attacker.model) // 2]
        spoiled = half + b"\xff" * (len(attacker.model) - len(half))
        channels = [attacker.another_channel() for _ in range(8)]
        stubs = [FederationStub(channel) for channel in channels]

        async def upload(number: int) -> str:
            call = stubs[number % 8].submit_update()
            try:
                await call.write(attacker.begin(attacker.model, update_id=f"u{number % 2}"))
                ready = await call.read()
                assert ready is not None
                await call.write(spoiled[ready.offset : ready.offset + 1_000_000])
                await call.read()  # a credit
                await call.read()
            except WireError as error:
                return str(error.reason)
            finally:
                call.cancel()
            return "open"

        uploads = {asyncio.create_task(upload(number)) for number in range(64)}
        await served_quickly(attacker)
        left = uploads
        async with asyncio.timeout(60):
            while len(left) > 1:
                _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        ended = [task.result() for task in uploads - left]
        assert "open" not in ended, ended
        noted.extend(ended)
        await served_quickly(attacker)
        for task in left:
            task.cancel()
        await asyncio.wait(uploads)
        for channel in channels:
            await channel.close()

    noted: list[str] = []
    before = large.evidence.state()
    large.attack(play, owner="greedy-b")
    assert (large.evidence.state(), staged(large, "greedy-b") <= 2) == (before, True)
    assert len(large.evidence.lines("client greedy-b", "TOO_MANY_UPLOADS")) == 1
    assert "TOO_MANY_UPLOADS" in noted
    large.evidence.uncounted |= {("client greedy-b", reason) for reason in noted}
    large.evidence.lost += len(noted)  # some were cut before they could be told


def test_c01_streams_beyond_what_a_certificate_may_hold_are_refused(large: Any) -> None:
    """Those it may hold keep nobody else waiting; the others are told why."""

    async def play(attacker: Any) -> list[str]:
        channels = [attacker.another_channel() for _ in range(12)]
        calls = [FederationStub(c).submit_update() for c in channels for _ in range(16)]
        reading = [asyncio.create_task(call.read()) for call in calls]
        await witnessed(attacker.arena)
        done, held = await asyncio.wait(reading, timeout=2)
        for task in held:
            task.cancel()
        await asyncio.wait(reading)
        for channel in channels:
            await channel.close()
        reasons = [str(getattr(task.exception(), "reason", "")) for task in done]
        assert len(held) <= RUNNING_CALLS
        return reasons

    reasons = large.attack(play, owner="greedy-b")
    assert set(reasons) == {"TOO_MANY_CALLS"}
    (line,) = large.evidence.lines("client greedy-b", "TOO_MANY_CALLS")
    large.evidence.refusals["client greedy-b", "TOO_MANY_CALLS"] += len(reasons)
    assert line["action"] == "SubmitUpdate"


def test_c01_updates_that_are_none_are_heard_a_few_times(large: Any) -> None:
    """A digest that is wrong fails no task by itself: an honest client sends the bytes again."""

    async def play(attacker: Any) -> list[str]:
        reasons: list[str] = []
        while not reasons or reasons[-1] != "NOT_A_PARTICIPANT":
            assert len(reasons) < 3 * MOST_SPOILED, reasons
            try:
                await attacker.submit(attacker.model, sha="0" * 64)
            except RefusedError as error:
                reasons.append(error.reason)
                attacker.arena.count(attacker, error.reason)
        await served_quickly(attacker)
        return reasons

    before = len(large.evidence.events("update_refused"))
    reasons = large.attack(play)
    # The task fails, is given again, and fails without a byte of it being read.
    assert reasons == [
        *["DIGEST"] * MOST_SPOILED,
        "TOO_MANY_ATTEMPTS",
        "TOO_MANY_ATTEMPTS",
        "NOT_A_PARTICIPANT",
    ]
    assert len(large.evidence.events_in_time("update_refused", before + 2)) == before + 2


def test_c02_2000_connections_that_never_speak_keep_nobody_waiting(small: Any) -> None:
    host, _, port = small.address.rpartition(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(2000)]
    try:
        asyncio.run(witnessed(small))
        # What is written meanwhile needs files, which strangers must not use up.
        assert small.refusal(lambda a: a.submit(a.model, sha="0" * 64)) == "DIGEST"
    finally:
        for connection in silent:
            connection.close()


def test_c02_half_a_handshake_keeps_nobody_waiting_and_is_cut(small: Any) -> None:
    """A TLS hello that never ends: the server ends it, and serves others meanwhile."""
    host, _, port = small.address.rpartition(":")
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20)
    slow = [socket.create_connection((host, int(port))) for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(hello)
        asyncio.run(witnessed(small))
        slow[0].settimeout(HANDSHAKE_TIMEOUT_MS / 1000 + 5)
        with contextlib.suppress(ConnectionResetError):
            assert slow[0].recv(1024) in {b"", ALERT}
    finally:
        for connection in slow:
            connection.close()


def test_c03_heartbeats_without_end_are_refused_and_counted(large: Any) -> None:
    """Others are served, and the log has one line for all that were too many."""

    async def play(attacker: Any) -> tuple[int, int, float]:
        begun, reasons, torn = time.monotonic(), [], []

        async def beat() -> None:
            for _ in range(200):
                try:
                    await attacker.heartbeat()
                except RefusedError as error:
                    reasons.append(error.reason)
                except UnreachableError:
                    torn.append(1)  # the transport has its own measure of too much

        flood = asyncio.gather(*(beat() for _ in range(10)))
        await witnessed(attacker.arena)
        await flood
        seconds = time.monotonic() - begun
        assert set(reasons) == {"RATE_LIMITED"}
        await asyncio.sleep(4 / CALLS_PER_SECOND)  # until it may say goodbye
        return 2000 - len(reasons) - len(torn), len(reasons), seconds

    served, refused, seconds = large.attack(play, owner="greedy-a")
    assert served <= CALLS_AT_ONCE + CALLS_PER_SECOND * seconds
    line = large.evidence.one_line("client greedy-a", "RATE_LIMITED")
    assert line["action"] == "Heartbeat"
    large.evidence.refusals["client greedy-a", "RATE_LIMITED"] += refused - 1


def test_c03_100_connections_of_one_certificate_keep_nobody_waiting(small: Any) -> None:
    async def play(attacker: Any) -> None:
        channels = [attacker.another_channel() for _ in range(100)]
        requests = [
            FederationStub(channel).heartbeat(HeartbeatRequest(token=attacker.token), timeout=20)
            for channel in channels
        ]
        answers = asyncio.gather(*requests, return_exceptions=True)
        await witnessed(attacker.arena)
        assert all(getattr(a, "reason", "") in {"", "RATE_LIMITED"} for a in await answers)
        for channel in channels:
            await channel.close()

    small.attack(play, owner="greedy-c")


def test_c03_connections_without_calls_keep_nobody_waiting_and_are_cut(
    small: Any, project: Any
) -> None:
    """Whose they are, no program is told before there is a call: they end by themselves."""
    host, _, port = small.address.rpartition(":")
    tls = project.tls("greedy-b")
    context = ssl.create_default_context(cafile=str(tls.root))
    context.load_cert_chain(tls.cert, tls.key)
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    idle = [context.wrap_socket(socket.create_connection((host, int(port)))) for _ in range(1000)]
    try:
        for connection in idle:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + EMPTY_SETTINGS)
        asyncio.run(witnessed(small))
        for connection in idle:
            connection.settimeout(2 * CONNECTION_IDLE_MS / 1000)
            while connection.recv(4096):  # what a server has to say before it hangs up
                pass
    finally:
        for connection in idle:
            connection.close()
