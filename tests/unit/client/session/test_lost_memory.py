# SPDX-License-Identifier: Apache-2.0
"""A server that lost its memory, a run that went back, a disk that is full."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

from mmar_runner.client import rounds
from mmar_runner.client.files import state
from mmar_runner.client.transfer import submission
from mmar_runner.errors import DiskFullError, RefusedError, TaskFailedError
from mmar_runner.interfaces.observer import Topic
from tests.unit.client.session.bytes_of_models import model


async def test_a_server_that_lost_its_memory_is_begun_with_anew(server, serving, session, trainers):
    server.models = [(0, b"a"), (1, b"b"), (2, b"c")]
    server.lease = 0.1  # the heartbeat is what meets the other run
    train = trainers.train
    forgotten = asyncio.Event()

    async def forgets_in_round_1(task):
        if task.round == 1 and not forgotten.is_set():
            forgotten.set()
            server.token, server.epoch = "another", "two"
            server.answered.clear()
            await asyncio.Event().wait()
        return await train(task)

    trainers.train = forgets_in_round_1
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert len(server.registrations) == 2
    assert [task.round for task, _ in trainers.tasks] == [0, 0, 1, 2]


async def test_a_client_whose_task_the_server_does_not_know_is_given_what_there_is(
    server, serving, session, trainers
):
    """Killed before the round was on record, it opens it again: "later ones" never came."""
    server.models = [(0, b"first")]
    asked = server.get_model
    opened_again = []

    async def get_model(request, peer):
        if opened_again and request.after_round < 0:
            server.models = [(0, b"again")]
            server.answered.clear()
            server.refused.clear()
        elif opened_again:
            await asyncio.Event().wait()  # for a task after the one that it has had
        async for item in asked(request, peer):
            yield item
            if item.round == 0 and not opened_again:
                opened_again.append(True)
                await asyncio.Event().wait()

    server.get_model = get_model
    server.refuse_upload = "ROUND_MISMATCH"
    async with serving():
        outcome = await asyncio.wait_for(session(), 20)

    assert outcome.status == "finished"
    assert server.updates == {0: b"again!"}
    assert [task.round for task, _ in trainers.tasks] == [0, 0]


async def test_a_model_that_cannot_be_kept_fails_its_task_only(
    server, serving, session, settings, recorder
):
    server.models = [(0, model(2)), (1, b"second")]
    slot = settings.workspace / "run_1" / "model_0.safetensors"
    slot.mkdir(parents=True)
    async with serving():
        running = asyncio.create_task(session())
        await server.asked.get()
        await server.asked.get()  # the next task is asked for
        slot.rmdir()
        outcome = await running

    assert outcome.status == "finished"
    assert server.failures[0].reason == "STORAGE"
    assert server.updates == {1: b"second!"}


async def test_a_state_that_a_full_disk_does_not_take_is_waited_for_before_the_next_round(
    server, serving, session, trainers, recorder, monkeypatch
):
    """The update counts: a next round without what it left would not be the same run's."""
    server.models = [(0, b"first"), (1, b"second")]
    trainers.keep = "state"
    monkeypatch.setattr(submission, "_DISK_SECONDS", 0.01)
    full = DiskFullError("current.json: No space left on device")
    monkeypatch.setattr(state, "write_json_atomic", Mock(side_effect=[full, full, None, None]))
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert [kept for _, kept in trainers.tasks] == [[], ["state-0"]]
    told = [each.data["message"] for each in recorder.all(Topic.WAITING)]
    assert told == [f"the update of round 0 counts, but {full.message} [DISK_FULL]; trying again"]


async def test_a_task_for_which_there_is_no_space_fails_once_and_then_waits(
    server, serving, session, trainers, recorder, monkeypatch
):
    server.models = [(0, b"first")]
    monkeypatch.setattr(rounds, "_DISK_SECONDS", 0.01)
    full = [TaskFailedError("no space", reason="DISK_FULL") for _ in range(3)]
    train = trainers.train

    async def short_of_space(task):
        if full:
            raise full.pop()
        return await train(task)

    monkeypatch.setattr(trainers, "train", short_of_space)
    server.attempts = 2
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert [failure.reason for failure in server.failures] == ["DISK_FULL"]
    assert server.updates == {0: b"first!"}
    told = [each.data["message"] for each in recorder.all(Topic.WAITING)]
    assert told == ["round 0: no space [DISK_FULL]; trying again"]


async def test_a_run_that_went_back_is_walked_anew(
    server, serving, session, trainers, recorder, settings
):
    """Its number is the same: only the epoch tells that rounds are done again."""
    server.models = [(0, b"a"), (1, b"b")]
    take, back = server.take, asyncio.Event()

    async def goes_back_in_round_1(stream, begin):
        if begin.round == 1 and not back.is_set():
            back.set()
            server.token, server.epoch = "another", "two"
            server.answered.clear()
            server.refuse_upload = "BASE_MISMATCH"  # what was made from the lost model
            raise RefusedError("the server goes", reason="SERVER_STOPPING")
        try:
            await take(stream, begin)
        except RefusedError:
            server.answered.clear()  # the round that is done again is not answered by that
            raise

    server.take = goes_back_in_round_1
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert outcome.run_folder == settings.workspace / "run_1"
    assert [request.after_round for request in server.requests] == [-1, -1]
    assert [task.round for task, _ in trainers.tasks] == [0, 1, 0, 1]
    assert [seen.data["reason"] for seen in recorder.all(Topic.REFUSED)] == ["BASE_MISMATCH"]
    assert not (settings.workspace / "run_1" / "pending.json").exists()
