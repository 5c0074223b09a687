# SPDX-License-Identifier: Apache-2.0
"""A full disk is waited out, visibly, until there is space or nobody waits any more."""

from __future__ import annotations

import asyncio

import pytest

from mmar_runner.errors import AuditError, DiskFullError, StorageError
from mmar_runner.server.telling.space import DiskWait

SINCE = "2026-11-28T05:14:03Z"


class Told:
    """Notes what it is told, and can be waited for."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.something = asyncio.Event()

    def __call__(self, sentence: str) -> None:
        self.sentences.append(sentence)
        self.something.set()


def wait_with(told: Told, *, pause: float = 0.01) -> DiskWait:
    return DiskWait(told, pause=pause, clock=lambda: 1795842843.9)


class Disk:
    """Refuses until it is freed."""

    def __init__(self, error: StorageError | AuditError) -> None:
        self._error: StorageError | AuditError | None = error
        self.attempts = 0

    def free(self) -> None:
        self._error = None

    async def write(self) -> str:
        self.attempts += 1
        if self._error is not None:
            raise self._error
        return "written"


FULL = [DiskFullError("/x: full"), AuditError("/x: full", reason="AUDIT_WRITE")]


@pytest.mark.parametrize("error", FULL)
async def test_what_a_full_disk_refused_is_done_once_there_is_space(
    error: DiskFullError | AuditError,
) -> None:
    told, disk = Told(), Disk(error)
    wait = wait_with(told)
    writing = asyncio.create_task(wait.keep_trying("it", disk.write))
    await told.something.wait()
    disk.free()
    assert await writing == "written"
    assert disk.attempts >= 2
    sentence = f"{error.reason}: /x: full, since {SINCE}; free space on that disk, and the run"
    assert told.sentences == [f"{sentence} goes on", ""]


async def test_a_wait_that_is_given_up_ends_with_what_the_disk_said() -> None:
    told, disk = Told(), Disk(DiskFullError("full"))
    wait = wait_with(told, pause=3600)
    writing = asyncio.create_task(wait.keep_trying("it", disk.write))
    await told.something.wait()
    wait.give_up()
    with pytest.raises(DiskFullError):
        await writing
    with pytest.raises(DiskFullError):
        await wait.keep_trying("another", disk.write)
    assert told.sentences[-1] == ""


async def test_other_faults_are_not_waited_out() -> None:
    told = Told()
    for error in (StorageError("broken"), AuditError("altered", reason="AUDIT_ALTERED")):
        with pytest.raises(type(error)):
            await wait_with(told, pause=3600).keep_trying("it", Disk(error).write)
    assert told.sentences == []


async def test_several_that_wait_are_told_as_one_after_the_other_ends() -> None:
    told = Told()
    wait = wait_with(told)
    wait.note_journal(DiskFullError("the journal"))
    await told.something.wait()
    wait.note("updates", DiskFullError("an update"))
    wait.note("updates", DiskFullError("another update"))
    assert len(told.sentences) == 1, "the same wait is told once"
    wait.note("journal", None)
    wait.note("updates", None)
    assert [sentence.partition(",")[0] for sentence in told.sentences] == [
        "DISK_FULL: the journal",
        "DISK_FULL: an update",
        "",
    ]
