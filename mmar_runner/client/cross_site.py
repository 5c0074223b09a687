# SPDX-License-Identifier: Apache-2.0
"""Cross-site validation as a client walks it: its best model, then everybody's, one by one.

The server knows what is still to be done: a client that was killed asks it and goes on. What
fails here is told as an empty cell with its reason; nothing of it ends the run.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from mmar_runner.client.transfer.validation_models import ModelWanted, ValidationModels
from mmar_runner.errors import RefusedError, StorageError, TaskError
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.wire.messages import ClientState, CrossSiteResult, TaskFailure

if TYPE_CHECKING:
    from mmar_runner.client.connection.connection import Connection
    from mmar_runner.client.connection.heartbeat import Heartbeat
    from mmar_runner.client.files.workspace import RunFiles
    from mmar_runner.client.tasks.work import Work
    from mmar_runner.client.transfer.validation_models import ModelToValidate
    from mmar_runner.interfaces.observer import Observer

_log = logging.getLogger(__name__)

#: Refusals after which nobody waits for this client's model.
_NOT_ASKED: Final = frozenset({"CROSS_SITE_CLOSED", "NOT_A_PARTICIPANT", "RUN_MISMATCH"})
#: What is said where there is no best model.
_KEEPS_NONE: Final = "the trainer keeps no best model of its own"


class CrossSiteWalk:
    """Does a site's part of cross-site validation, as often as it is told to.

    Args:
        connection: Whom to call.
        files: The run's files.
        work: Has models made and measured.
        heartbeat: Says what the client is at.
        observer: Sees what comes of it.
    """

    def __init__(
        self,
        connection: Connection,
        files: RunFiles,
        work: Work,
        heartbeat: Heartbeat,
        observer: Observer,
    ) -> None:
        self._calls = ValidationModels(connection, files)
        self._work = work
        self._heartbeat = heartbeat
        self._observer = observer
        self._known: dict[str, dict[str, float]] = {}

    async def walk(self) -> None:
        """Submit the best local model, and validate until there is nothing left to.

        A site that takes no part does nothing of it, whatever a server says.
        """
        if not self._work.cross_validates:
            _log.warning("the server asks for cross-site validation; this site takes no part in it")
            return
        self._tell(Topic.CROSS_SITE_STARTED)
        self._heartbeat.tell(ClientState.CLIENT_STATE_VALIDATING, -1)
        try:
            while (model := await self._calls.next()) is not None:
                if isinstance(model, ModelWanted):
                    await self._submit()
                else:
                    await self._validate(model)
        except RefusedError as error:  # it is over, or this client is not asked
            _log.info("cross-site validation ends here: %s", error.message)
        except StorageError as error:
            _log.warning("cross-site validation ends here: %s", error.message)
        finally:
            self._heartbeat.tell(ClientState.CLIENT_STATE_IDLE, -1)

    async def _submit(self) -> None:
        try:
            best = await self._work.evaluation.best_model()
            if best is None:
                await self._has_none(TaskFailure(reason="NO_BEST_MODEL", message=_KEEPS_NONE))
                return
            path, metrics = best
            receipt = await self._calls.submit(path, metrics)
        except (TaskError, StorageError) as error:
            await self._has_none(self._work.words_for(error))
            return
        except RefusedError as error:
            if error.reason in _NOT_ASKED:
                raise
            # What is settled stays so; else nobody need wait for another attempt.
            await self._has_none(TaskFailure(reason=error.reason, message=error.message))
            return
        self._tell(Topic.CROSS_SITE_MODEL, duplicate=receipt.duplicate, reason="")

    async def _has_none(self, failure: TaskFailure) -> None:
        self._tell(Topic.CROSS_SITE_MODEL, reason=f"{failure.reason}: {failure.message}")
        await self._calls.has_none(failure)

    async def _validate(self, model: ModelToValidate) -> None:
        result = CrossSiteResult(owner=model.owner, sha256=model.sha256)
        try:
            # The server's best model is often its last one.
            if model.sha256 not in self._known:
                self._known[model.sha256] = await self._work.evaluation.validate(model.path)
            result.metrics.update(self._known[model.sha256])
        except (TaskError, StorageError) as error:
            failure = self._work.words_for(error)
            result.reason, result.message = failure.reason, failure.message
        if not result.metrics and not result.reason:
            result.reason, result.message = "NO_METRICS", "nothing validates models at this site"
        facts = {"owner": model.owner, "metrics": dict(result.metrics), "reason": result.message}
        self._tell(Topic.CROSS_SITE_RESULT, **facts)
        await self._calls.answer(result)

    def _tell(self, topic: Topic, **facts: object) -> None:
        self._observer.observe(Observation(topic, facts))
