# SPDX-License-Identifier: Apache-2.0
"""The five things that a controller can answer, and what a client does about each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.cli.starting.validated import validated
from mmar_runner.client.connection.asking import Asking, Assigned
from mmar_runner.client.settings import SessionSettings
from mmar_runner.errors import (
    MmarRunnerError,
    NotAuthorizedError,
    ProtocolError,
    RefusedError,
    UnreachableError,
)
from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.processes import free_port
from mmar_runner.testing.recorder import Recorder
from mmar_runner.wire.messages import AssignReply, AssignRequest, AssignStatus
from mmar_runner.wire.servicer import DiscoveryServicer
from tests.served import Nobody, served

ECHO = Path(__file__).parents[3] / "mmars" / "echo"
EAST = AssignReply(
    status=AssignStatus.ASSIGN_STATUS_ASSIGNED, combiner="east", target="127.0.0.1:9002"
)


class Answering(DiscoveryServicer):
    """A controller that says what it is told to say, one answer after the other."""

    def __init__(self, *answers: AssignReply | MmarRunnerError) -> None:
        self.answers = list(answers)
        self.asked: list[AssignRequest] = []

    async def assign(self, request: AssignRequest, peer: Any) -> AssignReply:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, MmarRunnerError):
            raise answer
        return answer

    def get_package(self, request: Any, peer: Any) -> Any:
        raise AssertionError

    async def decline(self, request: Any, peer: Any) -> Any:
        raise AssertionError


@pytest.fixture(scope="module")
def settings() -> SessionSettings:
    plugins = load_plugins()
    spec = validated(ECHO, plugins, side="client", settings={}, client_name="site-1")
    return SessionSettings(spec, "", "site-1", Path("nowhere"), connect_timeout=20.0)


@pytest.fixture
def ask(settings: SessionSettings) -> Callable[..., Any]:
    """Ask a controller that gives these answers; return what came of it, and who saw what."""

    def asked(
        *answers: AssignReply | MmarRunnerError,
        how: Callable[[Asking], Awaitable[Any]] = Asking.until_assigned,
    ) -> tuple[Any, Answering, Recorder]:
        controller, recorder = Answering(*answers), Recorder()

        async def play() -> Any:
            async with asyncio.timeout(30), served(Nobody(), discovery=controller) as address:
                asking = Asking(_at(settings, address), "east", recorder)
                try:
                    return await how(asking)
                finally:
                    await asking.close()

        return asyncio.run(play()), controller, recorder

    return asked


def _at(settings: SessionSettings, address: str) -> SessionSettings:
    return replace(settings, target=address)


def answer(status: str, message: str = "", **more: Any) -> AssignReply:
    number = AssignStatus.Value(f"ASSIGN_STATUS_{status}")
    return AssignReply(status=number, message=message, **more)


def test_assigned(ask: Any, settings: SessionSettings) -> None:
    found, controller, _ = ask(EAST)
    assert found == Assigned("east", "127.0.0.1:9002")
    (request,) = controller.asked
    assert (request.client_name, request.preferred_combiner) == ("site-1", "east")
    assert request.mmar_digest == settings.spec.digest


def test_try_again_and_unassigned_are_asked_again_and_said_once(ask: Any) -> None:
    later = answer("TRY_AGAIN", "no combiner is there", retry_seconds=0.1)
    found, controller, recorder = ask(later, later, answer("UNASSIGNED"), EAST)
    assert found.combiner == "east"
    assert len(controller.asked) == 4
    said = [one.data["message"] for one in recorder.all(Topic.WAITING)]
    assert len(said) == 2
    assert "no combiner is there; trying again" in said[0]


def test_unauthorized_stops_with_a_reason(ask: Any) -> None:
    with pytest.raises(NotAuthorizedError, match="may not run") as stopped:
        ask(answer("UNAUTHORIZED", "the site may not run this"))
    assert stopped.value.reason == "NOT_AUTHORIZED"


def test_an_unmatched_configuration_stops_with_a_mend(ask: Any) -> None:
    with pytest.raises(RefusedError, match="another MMAR") as stopped:
        ask(answer("UNMATCHED_CONFIG", "it runs another MMAR"))
    assert stopped.value.reason == "UNMATCHED_CONFIG"
    assert "--server" in (stopped.value.hint or "")


def test_a_refusal_that_passes_is_tried_again_and_another_one_is_not(ask: Any) -> None:
    passing = RefusedError("too much is asked", reason="RATE_LIMITED")
    found, *_ = ask(passing, EAST)
    assert found.combiner == "east"
    with pytest.raises(RefusedError) as refused:
        ask(RefusedError("no", reason="NAME_MISMATCH"))
    assert refused.value.reason == "NAME_MISMATCH"


@pytest.mark.parametrize(
    "wrong",
    [
        AssignReply(status=9),
        AssignReply(status=AssignStatus.ASSIGN_STATUS_ASSIGNED, combiner="east"),
        AssignReply(status=AssignStatus.ASSIGN_STATUS_ASSIGNED, target="127.0.0.1:1"),
    ],
)
def test_an_answer_that_is_none_is_said(ask: Any, wrong: AssignReply) -> None:
    with pytest.raises(ProtocolError):
        ask(wrong)


def test_asking_once_waits_for_nobody(ask: Any) -> None:
    later = answer("TRY_AGAIN", "no combiner is there", retry_seconds=60)
    found, *_ = ask(later, how=Asking.once)
    assert found is None


def test_a_controller_that_never_answers_is_given_up_after_the_time_that_was_given(
    settings: SessionSettings,
) -> None:
    async def play() -> None:
        nobody = _at(settings, f"127.0.0.1:{free_port()}")
        asking = Asking(replace(nobody, connect_timeout=0.5), "", Recorder())
        try:
            assert await asking.once() is None
            await asking.until_assigned()
        finally:
            await asking.close()

    with pytest.raises(UnreachableError):
        asyncio.run(play())


def test_every_combiner_that_did_not_answer_is_named_until_it_does(ask: Callable[..., Any]) -> None:
    """Two that cannot be reached must not send a client to and fro."""

    async def three_times(asking: Asking) -> None:
        for name in ("west", "east"):
            asking.shun(name)
            await asking.once()
        asking.reached("west")
        await asking.once()

    _, controller, _ = ask(EAST, EAST, EAST, how=three_times)
    assert [list(one.avoid) for one in controller.asked] == [["west"], ["east", "west"], ["east"]]
