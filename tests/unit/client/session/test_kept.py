# SPDX-License-Identifier: Apache-2.0
"""What a client keeps from one process, and one round, to the next."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest

from mmar_runner.client.transfer.uploads import UpdateUploads
from mmar_runner.errors import RefusedError, StorageError


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

    kept = {path.name for path in (settings.workspace / "run_1").iterdir()}
    # A second one only if a model came while the one before was being trained.
    assert kept - {"model_1.safetensors"} == {
        "filter_state",
        "model_0.safetensors",
        "state",
        "trainer",
        "update.safetensors",
    }
    assert server.updates[4] == bytes([4]) * 6 + b"!"
