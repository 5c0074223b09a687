# SPDX-License-Identifier: Apache-2.0
"""The newest task: named after a straggler that waited for ever once the run was over."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mmar_runner.client.transfer.downloads import ReceivedModel, RunEnded, UnkeptModel
from mmar_runner.client.transfer.newest import NewestTask
from mmar_runner.errors import RefusedError, StorageError
from mmar_runner.federation.run_status import RunStatus


class Scripted:
    """Gives tasks as a test lets them come."""

    def __init__(self):
        self.held = set()
        self.asked = []
        self.coming = asyncio.Queue()

    async def next_task(self, after_round, after_attempt=0):
        self.asked.append((after_round, after_attempt))
        task = await self.coming.get()
        if isinstance(task, Exception):
            raise task
        return task

    def ask_anew(self):
        self.asked.append("any")

    def keep_only(self, *needed):
        self.held = {path for path in needed if path is not None}

    async def comes(self, *tasks):
        """Let tasks come, and the one who listens see them."""
        for task in tasks:
            self.coming.put_nowait(task)
        for _ in range(3 * len(tasks)):
            await asyncio.sleep(0)
        assert self.coming.empty()


def model(number, slot):
    return ReceivedModel(number, 1, Path(f"slot_{slot}"), "", 1)


@pytest.fixture
async def listening():
    downloads = Scripted()
    newest = NewestTask(downloads)
    newest.listen(-1)
    yield downloads, newest
    await newest.close()


async def test_the_newest_of_several_is_taken_and_only_its_file_and_the_old_one_are_held(listening):
    downloads, newest = listening
    await downloads.comes(model(0, 0))
    assert (await newest.take()).round == 0
    await downloads.comes(model(1, 1), model(2, 2))
    assert downloads.held == {Path("slot_0"), Path("slot_2")}
    assert (await newest.take()).round == 2
    assert downloads.held == {Path("slot_2")}
    await downloads.comes(RunEnded(RunStatus.FINISHED, ""))
    await newest.take()
    assert not downloads.held
    assert downloads.asked == [(-1, 0), (0, 1), (1, 1), (2, 1)]


async def test_a_straggler_hears_of_the_end_in_the_middle_of_a_task(listening):
    downloads, newest = listening
    await downloads.comes(model(0, 0))
    await newest.take()
    await downloads.comes(model(1, 1), RunEnded(RunStatus.FINISHED, ""))
    await asyncio.wait_for(newest.over(), 5)
    assert isinstance(await newest.take(), RunEnded)


async def test_a_refusal_is_heard_in_the_middle_of_a_task_and_raised(listening):
    downloads, newest = listening
    await downloads.comes(model(0, 0))
    await newest.take()
    await downloads.comes(model(1, 1), RefusedError("no", reason="CERT_REVOKED"))
    await asyncio.wait_for(newest.over(), 5)
    with pytest.raises(RefusedError):
        await newest.take()


async def test_nothing_is_asked_for_behind_a_model_that_could_not_be_kept(listening):
    downloads, newest = listening
    await downloads.comes(UnkeptModel(3, 1, StorageError("full")))
    assert isinstance(await newest.take(), UnkeptModel)
    assert downloads.asked == [(-1, 0)]
    newest.listen(3, 0)
    await downloads.comes(model(3, 0))
    assert (await newest.take()).round == 3
    assert downloads.asked[1] == (3, 0)


async def test_a_task_that_the_server_did_not_know_is_asked_for_anew_unless_a_newer_one_waits(
    listening,
):
    downloads, newest = listening
    await downloads.comes(model(0, 0))
    await newest.take()
    newest.ask_anew()
    await downloads.comes(model(1, 1))
    newest.ask_anew()  # else the task that waits would come twice, and be trained twice
    assert downloads.asked == [(-1, 0), (0, 1), "any", (1, 1)]
