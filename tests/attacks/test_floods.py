# SPDX-License-Identifier: Apache-2.0
"""Too much of something: it is refused or borne, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from mmar_runner.errors import RefusedError, WireError
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.messages import (
    QuitRequest,
    RegisterRequest,
    ResultRequest,
    TaskFailure,
    UpdateReceipt,
)
from mmar_runner.wire.stub import FederationStub

QUICK_SECONDS = 2.0


async def served_quickly(attacker: Any) -> None:
    begun = time.monotonic()
    await attacker.heartbeat()
    assert time.monotonic() - begun < QUICK_SECONDS


def test_64_uploads_of_one_token_leave_one(large: Any) -> None:
    """They share one file: at most one of them may have it, whatever their order."""

    async def play(attacker: Any) -> None:
        arena = attacker.arena
        half = attacker.model[: len(attacker.model) // 2]
        spoiled = half + b"\xff" * (len(attacker.model) - len(half))
        channels = [open_channel(arena.address) for _ in range(8)]
        stubs = [FederationStub(channel) for channel in channels]
        begins = [attacker.begin(attacker.model, update_id=f"u{i % 2}") for i in range(64)]

        async def upload(number: int) -> str:
            call = stubs[number % 8].submit_update()
            try:
                await call.write(begins[number])
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
        await served_quickly(attacker)
        for task in left:
            task.cancel()
        await asyncio.wait(uploads)
        for channel in channels:
            await channel.close()

    before = large.accepted()
    large.attack(play)
    assert large.accepted() == before


def test_streams_that_never_send_keep_nobody_waiting(large: Any) -> None:
    async def play(attacker: Any) -> None:
        channels = [open_channel(attacker.arena.address) for _ in range(8)]
        calls = [FederationStub(c).submit_update() for c in channels for _ in range(16)]
        reading = [asyncio.create_task(call.read()) for call in calls]
        await asyncio.sleep(0.5)
        await served_quickly(attacker)
        for task in reading:
            task.cancel()
        await asyncio.wait(reading)
        for channel in channels:
            await channel.close()

    large.attack(play)


def test_200_connections_that_never_speak_keep_nobody_waiting(large: Any) -> None:
    host, _, port = large.address.rpartition(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(200)]
    try:
        large.attack(served_quickly)
    finally:
        for connection in silent:
            connection.close()


def test_30_kb_of_metadata_are_refused_by_the_transport(large: Any) -> None:
    async def play(attacker: Any) -> None:
        import grpc

        call = attacker.channel.unary_unary("/mmar_runner.v1.FederatedTraining/Heartbeat")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call(b"", metadata=(("filler", "x" * 30_000),), timeout=10)
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    large.attack(play)


NAMES = [
    "",
    "../x",
    "..",
    ".hidden",
    "a/b",
    "a\\b",
    "a\nb",
    "a\x00b",
    "\x1b[31mred",
    "s\u0456te-1",
    "site-1 ",
    "x" * 65,
    "x" * 3_000_000,
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_a_name_that_is_no_name_is_refused(large: Any, name: str) -> None:
    assert large.refusal(lambda a: a.register(client_name=name)) == "NAME_INVALID"


def test_a_name_of_10_mb_is_refused_before_it_is_sent(large: Any) -> None:
    assert large.refusal(lambda a: a.register(client_name="x" * 10_000_000)) == "OVERLOADED"


def test_a_name_that_is_taken_stays_with_its_session(large: Any) -> None:
    assert large.refusal(lambda a: a.register(session_key=bytes(32))) == "NAME_TAKEN"


def test_a_digest_without_end_is_not_kept(large: Any) -> None:
    """A client registers as often as it likes: what it says of itself must stay small."""
    journal = large.server.workspace / "run_1" / "events.jsonl"
    before = journal.stat().st_size

    async def play(attacker: Any) -> None:
        for _ in range(20):
            reply = await attacker.register(mmar_digest="d" * 3_000_000)
        attacker.token = reply.token

    large.attack(play)
    assert journal.stat().st_size - before < 100_000


def test_2000_heartbeats_in_a_row_are_answered(large: Any) -> None:
    async def play(attacker: Any) -> None:
        async def beat() -> None:
            for _ in range(200):
                await attacker.heartbeat()

        await asyncio.gather(*(beat() for _ in range(10)))
        await served_quickly(attacker)

    large.attack(play)


def test_clients_beyond_the_maximum_are_refused(small: Any) -> None:
    async def play(attacker: Any) -> None:
        tokens, reasons = [], set()
        for number in range(150):
            try:
                reply = await attacker.stub.register(
                    RegisterRequest(
                        client_name=f"flood-{number}", session_key=bytes(32), task_name="echo"
                    ),
                    timeout=10,
                )
                tokens.append(reply.token)
            except RefusedError as error:
                reasons.add(error.reason)
        await served_quickly(attacker)
        for token in tokens:
            await attacker.stub.quit(QuitRequest(token=token), timeout=10)
        assert reasons == {"TOO_MANY_CLIENTS"}
        assert len(tokens) == 98  # of 100, two are the attackers

    small.attack(play)


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("unknown", b"{}", "TOPIC_UNKNOWN"),
        ("../../etc/passwd", b"{}", "TOPIC_UNKNOWN"),
        ("t" * 3_000_000, b"{}", "TOPIC_UNKNOWN"),
        ("unknown", b"[" * 100_000, "TOPIC_UNKNOWN"),
    ],
    ids=["unknown", "path", "endless", "deep"],
)
def test_a_result_that_nobody_asked_for_is_refused(
    large: Any, topic: str, payload: bytes, reason: str
) -> None:
    async def play(attacker: Any) -> None:
        request = ResultRequest(token=attacker.token, topic=topic, result=payload)
        await attacker.stub.send_result(request, timeout=10)

    assert large.refusal(play) == reason


@pytest.mark.parametrize(
    "model_id",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "round_../../x",
        "round_-1",
        "round_" + "9" * 5000,
        "round_" + "\u0663" * 4,
        "\x00",
        "*",
        "m" * 3_000_000,
    ],
    ids=lambda model_id: ascii(model_id[:20]),
)
def test_a_model_that_is_not_there_is_refused(large: Any, model_id: str) -> None:
    assert large.refusal(lambda a: a.download(model_id=model_id)) == "MODEL_UNKNOWN"


@pytest.mark.parametrize(
    "changes",
    [{"offset": (1 << 64) - 1}, {"offset": 1 << 40}, {"after_round": -(1 << 31)}],
    ids=str,
)
def test_a_download_that_starts_nowhere_starts_at_the_beginning(
    large: Any, changes: dict[str, Any]
) -> None:
    async def play(attacker: Any) -> tuple[bytes, bytes]:
        sha = attacker.header.sha256
        _, data = await attacker.download(sha256=sha, **changes)
        return data, attacker.model

    data, model = large.attack(play)
    assert data == model


def test_a_failure_report_cannot_write_to_the_terminal(large: Any) -> None:
    async def play(attacker: Any) -> None:
        call = attacker.stub.submit_update()
        failure = TaskFailure(
            token=attacker.token,
            run_number=1,
            attempt=attacker.header.attempt,
            reason="\x1b[2J",
            message="\x1b]0;owned\x07\u009b31m\n" * 100_000,
        )
        await call.write(failure)
        assert isinstance(await call.read(), UpdateReceipt)
        call.cancel()

    large.attack(play)
    (failed,) = large.events("task_failed")
    assert (failed["reason"] + failed["message"]).isprintable()
    assert len(failed["message"]) <= 2000


def test_goodbyes_cannot_write_to_the_terminal(large: Any) -> None:
    async def play(attacker: Any) -> None:
        comment = "\x1b[2J\u009b31m" * 100_000
        await attacker.stub.quit(QuitRequest(token=attacker.token, comment=comment), timeout=10)

    large.attack(play)
    assert all(left["reason"].isprintable() for left in large.events("client_left"))
