# SPDX-License-Identifier: Apache-2.0
"""A session against a server that follows a script."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from unittest.mock import Mock

import pytest

from mmar_runner.client import rounds, state, submission
from mmar_runner.client.session import run_session
from mmar_runner.client.uploads import UpdateUploads
from mmar_runner.errors import (
    DiskFullError,
    RefusedError,
    StorageError,
    TaskFailedError,
    UnreachableError,
    UsageError,
)
from mmar_runner.interfaces.observer import Topic

MIB = 1 << 20


@pytest.fixture
def session(settings, plugins, recorder, trainers):
    """Run a session to its end."""

    async def run(*, stop=None, **changes):
        return await run_session(
            replace(settings, **changes),
            plugins,
            recorder,
            stop or asyncio.Event(),
            children=trainers,
        )

    return run


def model(mib, seed=1):
    return bytes((index * seed) % 251 for index in range(1021)) * (mib * MIB // 1021 + 1)


async def test_small_models_and_updates_travel_inline(server, serving, session, trainers):
    server.models = [(0, b"first"), (1, b"second")]
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert server.updates == {0: b"first!", 1: b"second!"}
    assert [begin.metrics["loss"] for begin in server.begins] == [0.5, 0.5]
    assert [begin.validation["auc"] for begin in server.begins] == [0.75, 0.75]
    assert server.quits == ["finished"]
    assert trainers.closed == 1


async def test_large_models_and_updates_stream(server, serving, session):
    large = model(11)
    server.models = [(0, large), (1, large[:-5])]
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert server.updates == {0: large + b"!", 1: large[:-5] + b"!"}


async def test_one_call_brings_every_model_and_one_takes_every_update(server, serving, session):
    server.models = [(0, b"first"), (1, model(3)), (2, b"third")]
    submitted = server.submit_update
    calls = []

    async def counted(stream, peer):
        calls.append(stream)
        await submitted(stream, peer)

    server.submit_update = counted
    async with serving():
        await session()

    assert [request.after_round for request in server.requests] == [-1]
    assert len(calls) == 1
    assert sorted(server.updates) == [0, 1, 2]


async def test_a_broken_download_goes_on_where_it_was(server, serving, session):
    large = model(12)
    server.models = [(0, large)]
    server.break_after = 9
    async with serving():
        await session()

    # Whole batches only are known to be in the file.
    assert [(r.after_round, r.offset > 0) for r in server.requests][:2] == [(-1, False), (-1, True)]
    assert server.updates[0] == large + b"!"


async def test_a_broken_upload_goes_on_where_the_server_was(server, serving, session):
    large = model(12)
    server.models = [(0, large)]
    server.break_upload_after = 5
    async with serving():
        await session()

    assert server.updates[0] == large + b"!"
    assert len({begin.update_id for begin in server.begins}) == 1
    assert len(server.begins) == 2


@pytest.mark.parametrize("reason", ["TOO_MANY_UPLOADS", "DIGEST"])
async def test_a_refusal_that_may_pass_is_tried_again(server, serving, session, reason, recorder):
    server.models = [(0, b"first")]
    server.refuse_upload = reason
    async with serving():
        await session()

    assert server.updates == {0: b"first!"}
    assert recorder.all(Topic.SUBMITTED, round=0)


@pytest.mark.parametrize("reason", ["ROUND_MISMATCH", "SCHEMA", "NON_FINITE", "WEIGHT"])
async def test_a_refused_update_is_dropped_and_the_session_goes_on(
    server, serving, session, reason, recorder
):
    server.models = [(0, b"first"), (1, b"second")]
    server.refuse_upload = reason
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert server.updates == {1: b"second!"}
    assert recorder.all(Topic.REFUSED, round=0, reason=reason)
    assert not list(outcome.run_folder.glob("pending.json"))


async def test_a_token_that_is_unknown_is_renewed_with_the_same_key(server, serving, session):
    server.models = [(0, b"first")]
    refused = server.check

    def forget_once(token):
        if token == "token-1":
            refused("another")
        refused(token)

    server.check = forget_once
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert len(server.registrations) == 2
    assert len({request.session_key for request in server.registrations}) == 1


async def test_a_task_that_fails_is_reported_and_the_next_one_is_done(
    server, serving, session, trainers, recorder
):
    server.models = [(0, b"first"), (1, b"second")]
    trainers.errors[0] = "out of luck"
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert (server.failures[0].reason, server.failures[0].message) == ("TASK_FAILED", "out of luck")
    assert recorder.all(Topic.TASK_FAILED, round=0)
    assert server.updates == {1: b"second!"}


async def test_the_end_of_the_run_ends_a_task_that_nobody_needs(server, serving, session, trainers):
    server.models = [(0, b"first")]
    trainers.may_end.clear()
    async with serving():
        running = asyncio.create_task(session())
        await trainers.started.wait()
        await server.answer(0)  # the round was closed without this client
        outcome = await running

    assert outcome.status == "finished"
    assert server.updates == {}
    assert trainers.closed == 1


async def test_what_a_trainer_keeps_becomes_current_with_the_receipt(
    server, serving, session, trainers
):
    server.models = [(0, b"a"), (1, b"b"), (2, b"c")]
    trainers.keep = "kept"
    server.refuse_upload = "NON_FINITE"
    async with serving():
        await session()

    assert [found for _, found in trainers.tasks] == [[], [], ["kept-1"]]


async def test_an_unsent_update_is_sent_by_the_next_process_without_training_again(
    server, serving, session, trainers, settings
):
    server.models = [(0, b"first"), (1, b"second")]
    server.break_upload_after = None
    stop = asyncio.Event()
    reached = asyncio.Event()
    original = server.submit_update

    async def lose_everything(stream, peer):
        await stream.read()
        reached.set()
        await asyncio.Event().wait()

    server.submit_update = lose_everything
    async with serving():
        running = asyncio.create_task(session(stop=stop))
        await reached.wait()
        stop.set()
        assert (await running).status == "stopped"
    assert (settings.workspace / "run_1" / "pending.json").exists()

    server.submit_update = original
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert [task.round for task, _ in trainers.tasks] == [0, 1]
    assert server.updates == {0: b"first!", 1: b"second!"}


async def test_an_update_that_cannot_be_read_is_forgotten_before_its_file_is_written_over(
    server, serving, session, trainers, monkeypatch
):
    """Whoever is killed while it trains again would have sent half of the one and of the other."""
    server.models = [(0, b"first")]
    server.attempts = 2
    unreadable = Mock(side_effect=[StorageError("update.safetensors: Input/output error")])
    sending, remembered = UpdateUploads.submit, []

    async def submit(uploads, update, path):
        if not unreadable.called:
            unreadable()
        return await sending(uploads, update, path)

    train = trainers.train

    async def looking(task):
        remembered.append((task.update.parent / "pending.json").exists())
        return await train(task)

    monkeypatch.setattr(UpdateUploads, "submit", submit)
    monkeypatch.setattr(trainers, "train", looking)
    async with serving():
        outcome = await session()

    assert outcome.status == "finished"
    assert server.updates == {0: b"first!"}
    assert remembered == [False, False]


async def test_a_duplicate_receipt_counts_as_a_receipt(server, serving, session, recorder):
    server.models = [(0, b"first")]
    server.duplicate = True
    async with serving():
        await session()

    assert recorder.all(Topic.SUBMITTED, round=0, duplicate=True)


async def test_metrics_are_sent_if_somebody_wants_them(server, serving, session):
    server.models = [(0, b"first")]
    server.result_topics = ["metrics"]
    async with serving():
        await session()

    assert [request.topic for request in server.results] == ["metrics"]
    sent = json.loads(server.results[0].result)
    assert (sent["round"], sent["num_samples"]) == (0, 3)
    assert (sent["train"], sent["validation"]) == ({"loss": 0.5}, {"auc": 0.75})


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
    with pytest.raises(UsageError) as caught:
        await session(spec=replace(settings.spec, byoc=True))

    assert caught.value.reason == "BYOC_NOT_ALLOWED"


async def test_two_sessions_of_one_folder_are_refused(server, serving, session, trainers):
    server.models = [(0, b"first")]
    trainers.may_end.clear()
    async with serving():
        first = asyncio.create_task(session())
        await trainers.started.wait()
        with pytest.raises(RefusedError, match="'site-1' is taken"):
            await session()
        trainers.may_end.set()
        await first


async def test_the_session_key_is_private(server, serving, session, settings):
    async with serving():
        await session()

    key = settings.workspace / "session.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32
    assert key.read_bytes() == server.registrations[0].session_key


async def test_tasks_are_seeded_by_run_client_and_round(server, serving, session, trainers):
    server.models = [(0, b"a"), (1, b"b")]
    async with serving():
        await session()
    seeds = [task.seed for task, _ in trainers.tasks]
    trainers.tasks.clear()
    server.answered.clear()
    async with serving():
        await session(name="site-2")

    assert len({*seeds, *(task.seed for task, _ in trainers.tasks)}) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)


async def test_model_files_are_reused(server, serving, session, settings):
    server.models = [(k, bytes([k]) * (10 - k)) for k in range(5)]
    async with serving():
        await session()

    assert sorted(path.name for path in (settings.workspace / "run_1").iterdir()) == [
        "model_0.safetensors",
        "model_1.safetensors",
        "state",
        "trainer",
        "update.safetensors",
    ]
    assert server.updates[4] == bytes([4]) * 6 + b"!"


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
