# SPDX-License-Identifier: Apache-2.0
"""The newest task: what a client is to do next, whatever it is still busy with.

Models are received while a task is done, one after the other, and the newest replaces
the one that waits: whoever is slower than the others works on the open round, not on
one that was closed long ago, and hears of the run's end although nobody waits for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mmar_runner.client.transfer.downloads import CrossSiteTask, ReceivedModel, RunEnded
from mmar_runner.waiting.races import end

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.client.transfer.downloads import ModelDownloads, NextTask


class NewestTask:
    """Receives tasks of one run all the time, and gives the newest when asked.

    Args:
        downloads: Receives the models; their files are held for as long as they are
            needed here.
    """

    def __init__(self, downloads: ModelDownloads) -> None:
        self._downloads = downloads
        self._waiting: NextTask | None = None
        self._busy_with: Path | None = None
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    def listen(self, after_round: int, after_attempt: int = 0) -> None:
        """Begin to receive; again after a model that could not be kept.

        Args:
            after_round: The round whose task this client has, or had, last; -1 before
                the first.
            after_attempt: The attempt of that round that it was given.
        """
        self._listening = asyncio.create_task(self._listen((after_round, after_attempt)))
        self._listening.add_done_callback(self._listened)

    async def take(self) -> NextTask:
        """Wait for a task and take it; its model stays until the next one is asked for.

        Raises:
            RefusedError: The server refused for good.
            RunReplacedError: The server has opened another run.
        """
        self._hold(None)
        await self._news.wait()
        task, self._waiting = self._waiting, None
        if task is None:  # it ended otherwise than by a task: with an error
            assert self._listening is not None  # noqa: S101 - nobody takes before listening
            await self._listening
            raise AssertionError
        self._news.clear()
        self._hold(task)
        return task

    async def newer(self) -> None:
        """Wait until there is something newer than the task that was taken last."""
        await self._news.wait()

    def ask_anew(self) -> None:
        """The server did not take the task that was done: it may not know that it gave it.

        Whatever waits is newer. If nothing does, the server is asked for any task.
        """
        if self._waiting is None:
            self._downloads.ask_anew()

    async def over(self) -> None:
        """Wait until no task will come any more: the run has ended, or its server refuses."""
        await self._over.wait()

    async def close(self) -> None:
        """Receive nothing any more, and let others have the files."""
        if self._listening is not None:
            await end(self._listening)
        self._downloads.keep_only()

    async def _listen(self, after: tuple[int, int]) -> None:
        while True:
            task = await self._downloads.next_task(*after)
            self._waiting = task
            self._keep()
            self._news.set()
            if isinstance(task, CrossSiteTask):
                continue  # what follows is the end, or the same once more from another server
            if not isinstance(task, ReceivedModel):
                break  # over, or nothing can be received until somebody has dealt with it
            after = (task.round, task.attempt)
        if isinstance(task, RunEnded):
            self._over.set()

    def _listened(self, listening: asyncio.Task[None]) -> None:
        if not listening.cancelled() and listening.exception() is not None:
            self._waiting = None
            self._news.set()
            self._over.set()

    def _hold(self, task: NextTask | None) -> None:
        self._busy_with = _file_of(task)
        self._keep()

    def _keep(self) -> None:
        self._downloads.keep_only(self._busy_with, _file_of(self._waiting))


def _file_of(task: NextTask | None) -> Path | None:
    return task.path if isinstance(task, ReceivedModel) else None
