# SPDX-License-Identifier: Apache-2.0
"""Sessions: bound to a certificate, over when nobody uses them, and not without number."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.admin.entrance import sessions as module
from mmar_runner.admin.entrance.sessions import Sessions
from mmar_runner.errors import RefusedError


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def peer(fingerprint: str = "a" * 64) -> Any:
    return SimpleNamespace(fingerprint=fingerprint)


def refused(do: Any) -> str:
    with pytest.raises(RefusedError) as error:
        do()
    assert error.value.hint
    return str(error.value.reason)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(60.0, clock=clock)


def test_a_token_stands_for_its_session(sessions: Sessions) -> None:
    token = sessions.open("lead@a.org", peer())
    assert sessions.require(token, peer()).user == "lead@a.org"


def test_tokens_cannot_be_guessed(sessions: Sessions) -> None:
    tokens = {sessions.open("lead@a.org", peer(str(n))) for n in range(100)}
    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {64}


@pytest.mark.parametrize("token", ["", "x", "0" * 64, "\x1b[2J"])
def test_what_is_no_token_is_refused(sessions: Sessions, token: str) -> None:
    sessions.open("lead@a.org", peer())
    assert refused(lambda: sessions.require(token, peer())) == "SESSION_OVER"


def test_another_certificate_has_nothing_of_it(sessions: Sessions) -> None:
    token = sessions.open("lead@a.org", peer())
    assert refused(lambda: sessions.require(token, peer("b" * 64))) == "TOKEN_NOT_BOUND"
    assert refused(lambda: sessions.close(token, peer("b" * 64))) == "TOKEN_NOT_BOUND"
    sessions.require(token, peer())


def test_whoever_leaves_is_out(sessions: Sessions) -> None:
    token = sessions.open("lead@a.org", peer())
    sessions.close(token, peer())
    assert refused(lambda: sessions.require(token, peer())) == "SESSION_OVER"


def test_what_nobody_uses_is_over_and_use_keeps_it(sessions: Sessions, clock: Clock) -> None:
    token, other = (sessions.open("lead@a.org", peer()) for _ in range(2))
    for _ in range(5):
        clock.now += 59
        sessions.require(token, peer())
    assert refused(lambda: sessions.require(other, peer())) == "SESSION_OVER"
    clock.now += 61
    assert refused(lambda: sessions.require(token, peer())) == "SESSION_OVER"


def test_another_certificates_attempt_does_not_keep_a_session(
    sessions: Sessions, clock: Clock
) -> None:
    token = sessions.open("lead@a.org", peer())
    clock.now += 40
    refused(lambda: sessions.require(token, peer("b" * 64)))
    clock.now += 40
    assert refused(lambda: sessions.require(token, peer())) == "SESSION_OVER"


def test_one_certificate_has_so_many_and_hinders_no_other(sessions: Sessions, clock: Clock) -> None:
    for _ in range(module._OF_ONE):
        sessions.open("lead@a.org", peer())
    assert refused(lambda: sessions.open("lead@a.org", peer())) == "TOO_MANY_SESSIONS"
    sessions.open("bob@b.org", peer("b" * 64))
    clock.now += 61
    sessions.open("lead@a.org", peer())


def test_all_together_have_a_bound_too(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    for number in range(3):
        sessions.open("lead@a.org", peer(str(number)))
    assert refused(lambda: sessions.open("bob@b.org", peer("b" * 64))) == "TOO_MANY_SESSIONS"
