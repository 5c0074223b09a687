# SPDX-License-Identifier: Apache-2.0
"""A finished update, until the server has answered it for good."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Final

from mmar_runner.client.transfer.uploads import UpdateUploads
from mmar_runner.errors import RefusedError, StorageError
from mmar_runner.federation.failures import Failures
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.waiting.races import aside
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.messages import ResultReply, ResultRequest

if TYPE_CHECKING:
    from mmar_runner.client.connection.connection import Connection
    from mmar_runner.client.files.pending import PendingUpdate
    from mmar_runner.client.files.workspace import RunFiles
    from mmar_runner.client.transfer.downloads import RoundTask
    from mmar_runner.errors import MmarRunnerError
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.wire.messages import TaskFailure, UpdateReceipt
    from mmar_runner.wire.stub import FederationStub

_log = logging.getLogger(__name__)

#: The topic under which the metrics of a round travel, if the server asks for them.
METRICS_TOPIC: Final = "metrics"
#: How long the server may take to process a result, in seconds.
_RESULT_SECONDS: Final = 30.0
#: How often what the disk refused is tried again, in seconds.
_DISK_SECONDS: Final = 1.0


class Submission:
    """Submits updates of one run and keeps what a receipt makes valid.

    Args:
        connection: Whom to send to.
        files: The run's files.
        observer: Sees receipts and refusals.
    """

    def __init__(self, connection: Connection, files: RunFiles, observer: Observer) -> None:
        self._connection = connection
        self._files = files
        self._observer = observer
        self._uploads = UpdateUploads(connection)
        self._failures = Failures()

    async def submit(self, update: PendingUpdate) -> RefusedError | None:
        """Send an update until it is receipted or refused, and forget it then.

        Returns:
            The refusal, or None if it was receipted.

        Raises:
            StorageError: Its file cannot be read.
        """
        begun = time.monotonic()
        try:
            receipt = await self._send(update)
        except RefusedError as error:
            self._forget()
            self._tell_failure(Topic.REFUSED, update.facts.round, error)
            return error
        await self._keep_what_counts(update)
        self._tell(
            Topic.SUBMITTED,
            round=update.facts.round,
            bytes=update.facts.bytes,
            seconds=time.monotonic() - begun,
            duplicate=receipt.duplicate,
        )
        return None

    def close(self) -> None:
        """Give up the call that is kept for the next update."""
        self._uploads.close()

    async def report_failure(
        self, task: RoundTask, error: MmarRunnerError, failure: TaskFailure
    ) -> None:
        """Tell observer and server that a task cannot be done.

        Where its traceback lies is told here alone: the site's paths are its own.

        Args:
            task: Which task.
            error: Why.
            failure: The same, in words that may leave the site.
        """
        told = failure.message
        self._tell_failure(Topic.TASK_FAILED, task.round, error, hint=error.hint, told=told)
        await self._uploads.report_failure(task, failure)

    async def _send(self, update: PendingUpdate) -> UpdateReceipt:
        path = self._files.folder / update.file
        # What sites measured stands in a sum's parts; a combiner has no metrics of its own.
        asked = METRICS_TOPIC in self._connection.registration.result_topics
        if not asked or update.facts.parts:
            return await self._uploads.submit(update, path)
        async with aside(self._send_metrics(update)):
            return await self._uploads.submit(update, path)

    async def _keep_what_counts(self, update: PendingUpdate) -> None:
        """Let what trainer and filters left be their next state, however long the disk takes.

        The server has counted the update: the next round must not begin without it.
        """
        told = False
        while True:
            try:
                for state in (self._files.state, self._files.filter_state):
                    if not state.keeps_nothing:  # a hop to a thread costs more than that
                        await in_thread(state.acknowledge, update.update_id)
                self._files.forget_pending()
            except StorageError as error:
                if not told:
                    counted = f"the update of round {update.facts.round} counts, but"
                    message = f"{counted} {error.message} [{error.reason}]; trying again"
                    self._tell(Topic.WAITING, message=message)
                    told = True
                await asyncio.sleep(_DISK_SECONDS)
            else:
                return

    def _forget(self) -> None:
        try:
            self._files.forget_pending()
        except StorageError as error:  # a later session sends it, and is refused again
            _log.warning("a refused update is not forgotten: %s", error.message)

    async def _send_metrics(self, update: PendingUpdate) -> None:
        facts = update.facts
        result = {
            "round": facts.round,
            "num_samples": facts.num_samples,
            "seconds_train": facts.seconds_train,
            "train": dict(facts.metrics),
            "validation": dict(facts.validation),
        }
        payload = json.dumps(result).encode()

        async def send(stub: FederationStub, token: str) -> ResultReply:
            request = ResultRequest(token=token, topic=METRICS_TOPIC, result=payload)
            return await stub.send_result(request, timeout=_RESULT_SECONDS)

        try:
            await self._connection.call(send)
        except RefusedError as error:
            _log.warning("the server did not take the metrics: %s", error.message)

    def _tell_failure(
        self, topic: Topic, number: int, error: MmarRunnerError, **more: object
    ) -> None:
        again = self._failures.note(number, f"{topic} {error.reason} {error.message}")
        facts = {"reason": error.reason, "message": error.message, "again": again}
        self._tell(topic, round=number, **facts, **more)

    def _tell(self, topic: Topic, **facts: object) -> None:
        self._observer.observe(Observation(topic, facts))
