# SPDX-License-Identifier: Apache-2.0
"""Texts, names and places of a sender's own choice: too long, or written for a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from mmar_runner.security.redaction import LINE_LETTERS, LOG_BYTES, LOG_LINES
from mmar_runner.wire.messages import QuitRequest, ResultRequest, TaskFailure, UpdateReceipt


@pytest.mark.parametrize("value", ["a\nb", "\x1b[2J", "\r\nmmar-reason: NONE"], ids=ascii)
def test_c05_metadata_that_would_write_to_a_terminal_do_not_travel(large: Any, value: str) -> None:
    async def play(attacker: Any) -> None:
        from grpc._cython.cygrpc import ExecuteBatchError

        call = attacker.channel.unary_unary("/mmar_runner.v1.FederatedTraining/Heartbeat")
        with pytest.raises(ExecuteBatchError):  # it is not even sent
            await call(b"", metadata=(("filler", value),), timeout=10)
        await attacker.heartbeat()

    large.attack(play)
    assert value not in large.server.stderr


def test_c05_30_kb_of_metadata_are_refused_by_the_transport(large: Any) -> None:
    async def play(attacker: Any) -> None:
        import grpc

        call = attacker.channel.unary_unary("/mmar_runner.v1.FederatedTraining/Heartbeat")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call(b"", metadata=(("filler", "x" * 30_000),), timeout=10)
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    large.attack(play)


def test_a05_a_name_of_10_mb_is_refused_before_it_is_sent(large: Any) -> None:
    assert large.refusal(lambda a: a.register(client_name="x" * 10_000_000)) == "OVERLOADED"


def test_a05_a_name_that_is_taken_stays_with_its_session(large: Any) -> None:
    assert large.refusal(lambda a: a.register(session_key=bytes(32))) == "NAME_TAKEN"


def test_c05_a_digest_without_end_is_not_kept(large: Any) -> None:
    """A client registers as often as it likes: what it says of itself must stay small."""
    journal = large.server.workspace / "run_1" / "events.jsonl"
    before = journal.stat().st_size

    async def play(attacker: Any) -> None:
        for _ in range(20):
            reply = await attacker.register(mmar_digest="d" * 1_000_000)
        attacker.token = reply.token

    large.attack(play)
    assert journal.stat().st_size - before < 100_000


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("unknown", b"{}", "TOPIC_UNKNOWN"),
        ("../../etc/passwd", b"{}", "TOPIC_UNKNOWN"),
        ("t" * 1_000_000, b"{}", "TOPIC_UNKNOWN"),
        ("unknown", b"[" * 100_000, "TOPIC_UNKNOWN"),
    ],
    ids=["unknown", "path", "endless", "deep"],
)
def test_c05_a_result_that_nobody_asked_for_is_refused(
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
        "m" * 1_000_000,
    ],
    ids=lambda model_id: ascii(model_id[:20]),
)
def test_b03_a_model_that_is_not_there_is_refused(large: Any, model_id: str) -> None:
    assert large.refusal(lambda a: a.download(model_id=model_id)) == "MODEL_UNKNOWN"


@pytest.mark.parametrize(
    "changes",
    [{"offset": (1 << 64) - 1}, {"offset": 1 << 40}, {"after_round": -(1 << 31)}],
    ids=str,
)
def test_b10_a_download_that_starts_nowhere_starts_at_the_beginning(
    large: Any, changes: dict[str, Any]
) -> None:
    async def play(attacker: Any) -> tuple[bytes, bytes]:
        sha = attacker.header.sha256
        _, data = await attacker.download(sha256=sha, **changes)
        return data, attacker.model

    data, model = large.attack(play)
    assert data == model


def test_c05_a_failure_report_cannot_write_to_the_terminal(large: Any) -> None:
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
    (failed,) = large.evidence.events("task_failed")
    assert (failed["reason"] + failed["message"]).isprintable()
    assert len(failed["message"]) <= 2000


def test_c05_a_failure_with_too_much_of_a_log_is_cut(large: Any) -> None:
    async def play(attacker: Any) -> None:
        call = attacker.stub.submit_update()
        failure = TaskFailure(
            token=attacker.token,
            run_number=1,
            attempt=attacker.header.attempt,
            reason="TASK_FAILED",
            log=["early", *(["\x1b[2J" + "x" * 10_000] * 50), *(["\u202e<b>\r\n"] * 30), "last"],
        )
        await call.write(failure)
        assert isinstance(await call.read(), UpdateReceipt)
        call.cancel()

    large.attack(play)
    log = large.evidence.events("task_failed")[-1]["log"]
    assert log[-1] == "last"
    assert 30 < len(log) <= LOG_LINES
    assert all(line.isprintable() and len(line) <= LINE_LETTERS for line in log)
    assert sum(len(line) for line in log) <= LOG_BYTES
    assert "\x1b" not in large.server.stdout + large.server.stderr


def test_c05_goodbyes_cannot_write_to_the_terminal(large: Any) -> None:
    async def play(attacker: Any) -> None:
        comment = "\x1b[2J\u009b31m" * 100_000
        await attacker.stub.quit(QuitRequest(token=attacker.token, comment=comment), timeout=10)

    large.attack(play)
    assert all(left["reason"].isprintable() for left in large.evidence.events("client_left"))
