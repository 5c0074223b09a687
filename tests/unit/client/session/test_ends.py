# SPDX-License-Identifier: Apache-2.0
"""How a session ends, and what it begins anew."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mmar_runner.errors import (
    NotAuthorizedError,
    ProtocolError,
    RefusedError,
    UnreachableError,
)
from mmar_runner.interfaces.observer import Topic


async def test_heartbeats_come_in_time_and_say_what_is_done(server, serving, session, trainers):
    server.models = [(0, b"first")]
    server.lease = 0.15
    trainers.may_end.clear()
    async with serving():
        running = asyncio.create_task(session())
        await trainers.started.wait()
        beats = [await server.heartbeats.get() for _ in range(3)]
        trainers.may_end.set()
        await running

    assert (beats[-1].state, beats[-1].round) == (2, 0)


async def test_stop_leaves_in_order(server, serving, session, trainers, recorder):
    server.models = [(0, b"first")]
    trainers.may_end.clear()
    stop = asyncio.Event()
    async with serving():
        running = asyncio.create_task(session(stop=stop))
        await trainers.started.wait()
        stop.set()
        outcome = await running

    assert outcome.status == "stopped"
    assert len(server.quits) == 1
    assert trainers.closed == 1
    assert recorder.all(Topic.RUN_ENDED, status="stopped")


async def test_a_run_that_failed_is_told(server, serving, session):
    server.end.status, server.end.reason = "failed", "site-2 raised"
    async with serving():
        outcome = await session()

    assert (outcome.status, outcome.reason) == ("failed", "site-2 raised")
    assert server.quits == ["the run has failed"]  # why is the server's own word


@pytest.mark.parametrize("word", ["running", "finishd", ""])
async def test_an_end_in_an_unknown_word_is_none(server, serving, session, word):
    server.end.status = word
    async with serving():
        with pytest.raises(ProtocolError, match=repr(word)):
            await session()


async def test_a_new_run_is_worked_for_from_its_beginning(server, serving, session, settings):
    server.models = [(0, b"first")]
    refused = server.check

    def new_run(token):
        if token == "token-1":
            server.run_number = 2
            refused("another")
        refused(token)

    server.check = new_run
    async with serving():
        outcome = await session()

    assert outcome.run_number == 2
    assert server.begins[0].run_number == 2
    assert outcome.run_folder == settings.workspace / "run_2"


@pytest.mark.parametrize("reason", ["NAME_TAKEN", "TASK_MISMATCH", "TOO_MANY_CLIENTS"])
async def test_a_refused_registration_ends_the_session(server, serving, session, reason):
    async def refuse(request, peer):
        raise RefusedError("no", reason=reason)

    server.register = refuse
    async with serving():
        with pytest.raises(RefusedError) as caught:
            await session()

    assert caught.value.reason == reason


async def test_nobody_answers_within_the_time_given(session, recorder):
    with pytest.raises(UnreachableError, match="no answer from unix:"):
        await session(connect_timeout=3)

    first, *later = recorder.all(Topic.UNREACHABLE)
    assert first.data["since_seconds"] == 0
    assert "--connect-timeout" in first.data["hint"]
    assert later
    assert all("hint" not in each.data for each in later)  # once is enough


async def test_a_server_that_comes_late_is_joined(server, serving, session, recorder):
    server.models = [(0, b"first")]
    running = asyncio.create_task(session())
    await asyncio.to_thread(recorder.wait_for, Topic.UNREACHABLE)
    async with serving():
        outcome = await running

    assert outcome.status == "finished"


async def test_a_server_that_goes_away_in_the_middle_is_waited_for(
    server, serving, session, trainers
):
    server.models = [(0, b"first"), (1, b"second")]
    trainers.may_end.clear()
    async with serving():
        running = asyncio.create_task(session())
        await trainers.started.wait()
    trainers.may_end.set()
    async with serving():
        outcome = await running

    assert outcome.status == "finished"
    assert [task.round for task, _ in trainers.tasks] == [0, 1]


async def test_code_of_the_mmar_needs_consent(session, settings):
    with pytest.raises(NotAuthorizedError) as caught:
        await session(spec=replace(settings.spec, byoc=True))

    assert caught.value.reason == "BYOC_NOT_ALLOWED"


async def test_expressions_of_the_mmar_need_consent(session, settings):
    with pytest.raises(NotAuthorizedError) as caught:
        await session(spec=replace(settings.spec, expressions=True))

    assert caught.value.reason == "EXPRESSIONS_NOT_ALLOWED"
