# SPDX-License-Identifier: Apache-2.0
"""One run as a client sees it: a task comes, is trained, is submitted; then the next."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.client.cross_site import CrossSiteWalk
from mmar_runner.client.tasks.settling import Settling
from mmar_runner.client.transfer.downloads import (
    CrossSiteTask,
    ModelDownloads,
    RunEnded,
    UnkeptModel,
)
from mmar_runner.client.transfer.newest import NewestTask
from mmar_runner.client.transfer.submission import Submission
from mmar_runner.errors import DiskFullError, StorageError, TaskError
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.waiting.races import unless
from mmar_runner.wire.messages import ClientState

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from mmar_runner.client.connection.connection import Connection
    from mmar_runner.client.connection.heartbeat import Heartbeat
    from mmar_runner.client.files.pending import PendingUpdate
    from mmar_runner.client.files.workspace import RunFiles
    from mmar_runner.client.tasks.work import Work
    from mmar_runner.client.transfer.downloads import ReceivedModel, RoundTask
    from mmar_runner.errors import MmarRunnerError
    from mmar_runner.interfaces.observer import Observer

_log = logging.getLogger(__name__)

#: Refusals of an update that say nothing about its content: damaged on its way every
#: time, or the server could not deal with it.
_UNCOUNTED: Final = {"DIGEST", "INTERNAL", "PROTOCOL"}
#: How long a submission under way may still take once the run is over, in seconds.
_FAREWELL_SECONDS: Final = 2.0
#: How often a task is tried again for which there was no space on the disk, in seconds.
_DISK_SECONDS: Final = 3.0


class ClientRounds:
    """Walks through the rounds of one run.

    The next model is asked for as soon as the last one is complete, so that it arrives
    the moment it exists, and the end of the run is heard even in the middle of a task
    that took longer than several rounds.
    """

    def __init__(
        self,
        connection: Connection,
        files: RunFiles,
        work: Work,
        heartbeat: Heartbeat,
        observer: Observer,
    ) -> None:
        self._files = files
        self._work = work
        self._heartbeat = heartbeat
        self._observer = observer
        self._downloads = ModelDownloads(connection, files, observer)
        self._newest = NewestTask(self._downloads)
        self._submission = Submission(connection, files, observer)
        self._cross_site = CrossSiteWalk(connection, files, work, heartbeat, observer)
        self._settling = Settling(files, work)
        self._submitting = False
        self._lacked_space_in = -1
        self._told_lack_in = -1

    async def walk(self, *, mmar_digest: str) -> RunEnded:
        """Work until the run is over.

        Args:
            mmar_digest: An update that another MMAR left unsent is not sent.

        Raises:
            RefusedError: The server does not want this client any more.
            RunReplacedError: The server has opened another run.
        """
        newest = self._newest
        newest.listen(await self._resubmit(mmar_digest))
        self._settling.begin()
        try:
            while not isinstance(task := await newest.take(), RunEnded):
                if isinstance(task, CrossSiteTask):
                    await self._unless_over(self._cross_site.walk(), newest)
                    continue
                again = isinstance(task, UnkeptModel) and await self._waited(task, task.error)
                if isinstance(task, UnkeptModel):
                    newest.listen(task.round, task.attempt - 1 if again else task.attempt)
                if not again:
                    await self._unless_over(self._do(task), newest)
            return task
        finally:
            await self._settling.stop()
            await newest.close()
            self._downloads.close()
            self._submission.close()

    async def _resubmit(self, mmar_digest: str) -> int:
        """Send what an earlier process of this client left unsent; return its round."""
        pending = self._files.pending(mmar_digest=mmar_digest)
        if pending is None:
            return -1
        try:
            refusal = await self._submission.submit(pending)
        except StorageError as error:
            _log.warning("an unsent update is lost, its round is trained again: %s", error.message)
            return -1
        return pending.facts.round if refusal is None else -1

    async def _unless_over(self, work: Coroutine[Any, Any, None], newest: NewestTask) -> None:
        """Do a task, but stop if the run ends meanwhile."""
        done = await unless(
            work,
            newest.over(),
            grace=lambda: _FAREWELL_SECONDS if self._submitting else 0.0,
        )
        if not done.cancelled():
            done.result()

    async def _do(self, task: RoundTask) -> None:
        if isinstance(task, UnkeptModel):
            await self._report_failure(task, task.error)
            return
        self._tell(Topic.TRAINING, round=task.round)
        self._heartbeat.tell(ClientState.CLIENT_STATE_TRAINING, task.round)
        try:
            update = await self._perform(task)
            if update is not None:
                await self._submit(task, update)
        except StorageError as error:  # what was trained cannot be read any more
            await self._report_failure(task, error)
        finally:
            self._heartbeat.tell(ClientState.CLIENT_STATE_IDLE, task.round)

    async def _perform(self, task: ReceivedModel) -> PendingUpdate | None:
        """Have a task done; None if it failed, which the server then knows."""
        await self._settling.stop()
        while True:
            try:
                return await self._performed(task)
            except (TaskError, StorageError) as error:
                if not await self._waited(task, error):
                    await self._report_failure(task, error)
                    return None

    async def _performed(self, task: ReceivedModel) -> PendingUpdate | None:
        """Have a task done; None if it was left because there is a newer one."""
        doing = self._work.perform(task, self._heartbeat.stepped)
        if not self._work.leaves_older:
            return await doing
        done = await unless(doing, self._newest.newer())
        return None if done.cancelled() else done.result()

    async def _waited(self, task: RoundTask, error: MmarRunnerError) -> bool:
        """Wait a while for space on this site's disk, if that is what a task lacks again.

        That a round's task fails for it is told to the server once. A second time would
        end what this client can do for the round, and space may come.
        """
        if error.reason != DiskFullError.default_reason:
            return False
        if self._lacked_space_in != task.round:
            self._lacked_space_in = task.round
            return False
        if self._told_lack_in != task.round:
            self._told_lack_in = task.round
            message = f"round {task.round}: {error.message} [{error.reason}]; trying again"
            self._tell(Topic.WAITING, message=message)
        await asyncio.sleep(_DISK_SECONDS)
        return True

    async def _submit(self, task: ReceivedModel, update: PendingUpdate) -> None:
        facts = update.facts
        self._tell(
            Topic.TRAINED,
            round=facts.round,
            seconds=facts.seconds_train,
            num_samples=facts.num_samples,
            metrics=facts.reported,
        )
        self._submitting = True
        self._heartbeat.stepped(0, 0)  # from now on its bytes say how far it is
        try:
            refusal = await self._submission.submit(update)
            if refusal is not None and refusal.reason in _UNCOUNTED:
                # The server has not counted a failure, and would wait for this client.
                await self._report_failure(task, refusal)
            elif refusal is not None:
                self._newest.ask_anew()
            else:
                self._settling.begin()
        finally:
            self._submitting = False

    async def _report_failure(self, task: RoundTask, error: MmarRunnerError) -> None:
        _log.info("round %d: the task failed", task.round, exc_info=error)
        await self._submission.report_failure(task, error, self._work.words_for(error))
        self._newest.ask_anew()

    def _tell(self, topic: Topic, **facts: object) -> None:
        self._observer.observe(Observation(topic, facts))
