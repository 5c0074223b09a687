# SPDX-License-Identifier: Apache-2.0
"""Results: their numbers, names and sizes, and whoever sends them without end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.server.components.results import RESULTS_PER_ROUND
from mmar_runner.wire.messages import ResultRequest
from mmar_runner.wire.stub import FederationStub

PROMPT_SECONDS = 3.0
HONEST = {"round": 0, "train": {"loss": 0.5}, "validation": {"accuracy": 0.75}}


@pytest.fixture(scope="module")
def measured(attacked_server: Any, project: Any) -> Iterator[Any]:
    """An arena whose server writes down what clients measure."""
    processors = [{"name": "MetricsProcessor"}]
    mmar = Path(project.mmar(name="measured", result_processors=processors))
    with attacked_server("measured", mmar) as arena:
        yield arena
    assert "Traceback" not in arena.server.stderr


async def send(player: Any, result: Any, *, stub: Any = None, seconds: float = 30) -> Any:
    payload = result if isinstance(result, bytes) else json.dumps(result).encode()
    request = ResultRequest(token=player.token, topic="metrics", result=payload)
    return await (stub or player.stub).send_result(request, timeout=seconds)


def table(arena: Any) -> bytes:
    path = arena.server.workspace / "run_1" / "metrics.csv"
    return path.read_bytes() if path.exists() else b""


@pytest.mark.parametrize(
    "result",
    [
        {"round": 2**70, "train": {"a": 1}},
        {"round": -(2**70), "train": {"a": 1}},
        b'{"round":1' + b"0" * 4000 + b',"train":{"b":1}}',
        {"round": 1, "train": {"a": 1}},
        {"round": 0, "train": {"x" * 140_000: 1}},
        {"round": 0, "train": {f"{k:x}": 1 for k in range(18_000)}},
        {"round": 0, "train": {"\ud800": 1}},
        {"round": 0, "validation": {"a\r\nb": 1}},
        b'{"round":' + b"[" * 900 + b"]" * 900 + b"}",
    ],
    ids=["large", "small", "endless", "future", "name", "many", "surrogate", "lines", "deep"],
)
def test_c05_a_result_that_could_not_be_written_down_is_refused(measured: Any, result: Any) -> None:
    before = table(measured)
    assert measured.refusal(lambda a: send(a, result)) == "PROTOCOL"
    assert table(measured) == before


def test_c05_the_table_holds_no_formula_and_the_largest_number(measured: Any) -> None:
    names = {"=cmd|' /C calc'!A0": 1.7e308, "+1": 1, "-1": 1, "@x": 1}
    measured.attack(lambda a: send(a, {"round": 0, "train": names}))
    assert table(measured).count(b",train,'") + table(measured).count(b",\"'") >= len(names)
    assert not any(b",%b" % mark in table(measured) for mark in (b"=", b"+", b"@"))


def test_c03_results_without_end_are_refused(measured: Any) -> None:
    """In one round, from one client; another's are taken meanwhile."""

    async def play(attacker: Any) -> None:
        for number in range(RESULTS_PER_ROUND):
            await send(attacker, {"round": 0, "train": {f"m{number}": 1.0}})
        with pytest.raises(RefusedError) as refused:
            await send(attacker, HONEST)
        assert refused.value.reason == "TOO_MANY_RESULTS"
        measured.count(attacker, refused.value.reason)
        async with measured.guest("witness") as other:
            await send(other, HONEST)

    measured.attack(play)


def test_c03_90_results_of_one_certificate_at_once_keep_nobody_waiting(measured: Any) -> None:
    async def play(attacker: Any) -> None:
        channels = [attacker.another_channel() for _ in range(6)]
        flood = [
            asyncio.create_task(send(attacker, large(n), stub=FederationStub(channels[n % 6])))
            for n in range(90)
        ]
        async with measured.guest("witness") as other:
            begun = time.monotonic()
            await send(other, HONEST)
            assert time.monotonic() - begun < PROMPT_SECONDS
        answers = await asyncio.gather(*flood, return_exceptions=True)
        told.update(getattr(answer, "reason", "") for answer in answers)
        for channel in channels:
            await channel.close()

    def large(number: int) -> dict[str, Any]:
        letters = "x" * 100
        return {"round": 0, "train": {f"{letters}{number}-{k}": 1 for k in range(256)}}

    told: set[str] = set()
    measured.attack(play, owner="greedy-a")
    too_many = {"TOO_MANY_CALLS", "TOO_MANY_RESULTS"}
    # The transport may tell a writer of a call that has ended less than the server said.
    assert told <= {"", "UNREACHABLE", *too_many}
    mine = [line for line in measured.evidence.audit() if line["who"] == "client greedy-a"]
    assert too_many & {line["reason"] for line in mine}
    measured.evidence.uncounted |= {("client greedy-a", reason) for reason in too_many}
