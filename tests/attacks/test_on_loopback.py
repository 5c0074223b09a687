# SPDX-License-Identifier: Apache-2.0
"""Without certificates, on loopback, names are believed: what must hold even there."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

import pytest

from mmar_runner.errors import RefusedError, UnreachableError
from mmar_runner.wire.messages import QuitRequest, RegisterRequest

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
    "x" * 1_000_000,
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_a05_a_name_that_is_no_name_is_refused(plain: Any, name: str) -> None:
    assert plain.refusal(lambda a: a.register(client_name=name)) == "NAME_INVALID"


def test_a05_a_name_that_is_taken_stays_with_its_session(plain: Any) -> None:
    assert plain.refusal(lambda a: a.register(session_key=bytes(32))) == "NAME_TAKEN"


def test_a07_guessed_session_keys_open_no_session(plain: Any) -> None:
    """Keys that are too short to be random, and a thousand that are not the right one."""

    async def play(attacker: Any) -> None:
        for _ in range(200):
            with pytest.raises(RefusedError) as refused:
                await attacker.register(session_key=secrets.token_bytes(32))
            assert refused.value.reason == "NAME_TAKEN"
        await attacker.register(session_key=b"short")

    assert plain.refusal(play) == "PROTOCOL"
    plain.evidence.refusals["", "NAME_TAKEN"] += 200


def test_c03_2000_heartbeats_in_a_row_are_answered(plain: Any) -> None:
    async def play(attacker: Any) -> None:
        async def beat() -> None:
            answered = 0
            while answered < 200:
                try:
                    await attacker.heartbeat()
                except UnreachableError:
                    continue  # the transport refuses a stream now and then: made again
                answered += 1

        await asyncio.gather(*(beat() for _ in range(10)))
        begun = time.monotonic()
        await attacker.heartbeat()
        assert time.monotonic() - begun < 1.0

    plain.attack(play)


def test_c03_clients_beyond_the_maximum_are_refused(plain: Any) -> None:
    async def play(attacker: Any) -> int:
        tokens, reasons = [], []
        for number in range(150):
            request = RegisterRequest(
                client_name=f"flood-{number}", session_key=bytes(32), task_name="echo"
            )
            try:
                tokens.append((await attacker.stub.register(request, timeout=10)).token)
            except RefusedError as error:
                reasons.append(error.reason)
        for token in tokens:
            await attacker.stub.quit(QuitRequest(token=token), timeout=10)
        assert len(tokens) == plain.variables["MAX_NUM_CLIENTS"] - 2  # two are the attackers
        assert set(reasons) == {"TOO_MANY_CLIENTS"}
        return len(reasons)

    refused = plain.attack(play)
    assert len(plain.evidence.lines("", "TOO_MANY_CLIENTS")) == 1
    plain.evidence.refusals["", "TOO_MANY_CLIENTS"] += refused


def test_a01_tls_to_a_server_that_speaks_plain_text_comes_to_nothing(
    plain: Any, project: Any
) -> None:
    def came() -> int:
        # Somebody before may still be leaving.
        return sum(line["action"] != "leave" for line in plain.evidence.audit())

    before = came()
    with pytest.raises(UnreachableError):
        plain.strike(lambda a: a.register(), project.tls("site-1"))
    assert came() == before
