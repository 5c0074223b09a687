# SPDX-License-Identifier: Apache-2.0
"""Secure aggregation: messages out of turn, and updates that nobody has masked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mmar_runner.wire.messages import ExchangeRequest


@pytest.fixture(scope="module")
def secure(attacked_server: Any, project: Any) -> Iterator[Any]:
    """An arena whose server adds up masked updates; two honest sites finish in it."""
    mask = {"name": "SecAggFilter", "args": {"clip_range": 8, "least_clients": 2}}
    rule = {"name": "SecureSum", "args": {"clip_range": 8}}
    mmar = project.mmar(name="secure", aggregator=rule, filters=[mask])
    with attacked_server("secure", mmar) as arena:
        yield arena
    assert "Traceback" not in arena.server.stderr


async def exchange(player: Any, **changes: Any) -> None:
    said = {"run_number": 1, "round": 0, "topic": "secagg", "phase": "keys", "payload": b"{}"}
    request = ExchangeRequest(token=player.token, **{**said, **changes})
    await player.stub.exchange(request, timeout=10)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "EXCHANGE_PAYLOAD"),
        ({"payload": b"\xff" * 1000}, "EXCHANGE_PAYLOAD"),
        ({"payload": b"[" * 100_000}, "EXCHANGE_PAYLOAD"),
        ({"payload": bytes((1 << 20) + 1)}, "TOO_LARGE"),
        ({"phase": "shares"}, "EXCHANGE_PHASE"),
        ({"phase": "unmask"}, "EXCHANGE_PHASE"),
        ({"phase": "survivors"}, "EXCHANGE_PHASE"),
        ({"phase": "p" * 1_000_000}, "EXCHANGE_PHASE"),
        ({"topic": "../secagg"}, "TOPIC_UNKNOWN"),
        ({"round": 1}, "ROUND_MISMATCH"),
        ({"round": -1}, "ROUND_MISMATCH"),
        ({"run_number": 2}, "RUN_MISMATCH"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_b20_a_message_out_of_turn_is_refused(
    secure: Any, changes: dict[str, Any], reason: str
) -> None:
    assert secure.refusal(lambda a: exchange(a, **changes)) == reason


def test_b20_an_update_of_whoever_took_no_part_is_refused(secure: Any) -> None:
    """It could be read, and would stand in the sum without a mask that anybody knows."""
    assert secure.refusal(lambda a: a.submit_inline(a.model)) == "EXCHANGE_PHASE"
