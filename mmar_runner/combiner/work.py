# SPDX-License-Identifier: Apache-2.0
"""A combiner's tasks: where a client would train, the federation below does."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

from mmar_runner.client.files.pending import PendingUpdate
from mmar_runner.client.tasks.failure_words import failure_words
from mmar_runner.combiner.uplink import Uplink
from mmar_runner.errors import RunStoppedError, TaskFailedError
from mmar_runner.federation.assignment import Expected
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.client_trainer import tell_nobody
from mmar_runner.interfaces.update import UpdateFacts
from mmar_runner.server.members.below import STATES
from mmar_runner.server.upstream import GivenModel
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.codec_names import PARTIAL
from mmar_runner.wire.limits import CHUNK_BYTES
from mmar_runner.wire.messages import ClientState, SiteState
from mmar_runner.wire.update_facts import announce

if TYPE_CHECKING:
    from mmar_runner.client.files.pending import Unsettled
    from mmar_runner.client.files.workspace import RunFiles
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.client.tasks.evaluation import Evaluation
    from mmar_runner.client.transfer.downloads import ReceivedModel
    from mmar_runner.combiner.below import Below
    from mmar_runner.errors import MmarRunnerError
    from mmar_runner.interfaces.client_trainer import Progress
    from mmar_runner.server.settling import RunOutcome
    from mmar_runner.server.upstream import SumMade
    from mmar_runner.wire.messages import RegisterReply, TaskFailure

_UNKNOWN: Final = ClientState.CLIENT_STATE_UNKNOWN
#: The most bytes that may be said of the sites in one sum: what a server reads as one message,
#: but for the sum itself, if that is small, and what is said of the call.
MOST_SAID_BYTES: Final = 2 * CHUNK_BYTES - (16 << 10)


class CombinerWork:
    """Hands models down and sums up, for one run above; see `mmar_runner.client.tasks.work`.

    Args:
        settings: Of the session.
        files: The session's files of the run.
        told: What the parent told at Register.
        below: The server below.
    """

    cross_validates = False
    leaves_older = True

    def __init__(
        self, settings: SessionSettings, files: RunFiles, told: RegisterReply, below: Below
    ) -> None:
        self._settings = settings
        self._files = files
        self._told = told
        self._below = below
        self._uplink = Uplink(told, below.tell)
        self._beginning: asyncio.Task[asyncio.Task[RunOutcome]] | None = None

    @property
    def evaluation(self) -> Evaluation:
        """Nobody asks for it: a combiner has no data to validate models on.

        Raises:
            TaskFailedError: Always.
        """
        raise TaskFailedError("a combiner validates no models: it has no data")

    def prepare(self) -> None:
        """Let clients in below: of a run that goes on at once, else with the first model."""
        self._beginning = asyncio.create_task(self._below.begin(self._uplink, self._told))

    async def perform(
        self, model: ReceivedModel, progress: Progress = tell_nobody
    ) -> PendingUpdate:
        """Have the federation below work on a model; its sum lies in the run's folder.

        Raises:
            TaskFailedError: BELOW_FAILED, the run below has failed; TOO_LARGE, there are too many
                sites.
            RunStoppedError: It was stopped.
            MmarRunnerError: It could not begin, or go on.
        """
        del progress  # steps are those of many
        files, begun = self._files, time.monotonic()
        if files.keeps_pending:
            files.forget_pending()  # its file is written over
        assert self._beginning is not None  # noqa: S101 - it was prepared
        serving = await asyncio.shield(self._beginning)
        given = GivenModel(model.round, model.path, model.sha256, self._expected(model))
        answer = self._uplink.give(given, files.update)
        awaited: set[asyncio.Future[Any]] = {answer, serving}
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answer.cancel()  # nothing, if it is there
        if answer.cancelled():
            _raise_end(serving.result())
        update = self._pending(answer.result(), model, time.monotonic() - begun)
        files.keep_pending(update)
        return update

    def below(self) -> list[SiteState]:
        """Return what the sites below do, for the parent to know."""
        return [
            SiteState(path=one.path, state=STATES.get(one.state, _UNKNOWN), round=one.round)
            for one in self._uplink.sites()
        ]

    def _expected(self, model: ReceivedModel) -> Expected | None:
        if not self._told.assigns:
            return None
        return Expected(frozenset(model.sites), model.needed)

    def words_for(self, error: MmarRunnerError) -> TaskFailure:
        """Return what of a failure the parent is told."""
        settings = self._settings
        return failure_words(error, settings.redaction, settings.spec.root)

    async def settle(self, unsettled: Unsettled) -> None:
        """Nothing is left once a sum was acknowledged."""

    async def close(self) -> None:
        """Leave the server below alone: it hears how the run has ended."""
        if self._beginning is not None:
            await asyncio.wait({self._beginning})

    def _pending(self, made: SumMade, model: ReceivedModel, seconds: float) -> PendingUpdate:
        path = self._files.update
        with translated(path):
            size = path.stat().st_size
        facts = UpdateFacts(
            round=made.round,
            bytes=size,
            num_samples=math.fsum(part.facts.num_samples for part in made.parts),
            kind=made.kind,
            metrics={},
            validation={},
            seconds_train=seconds,
            codec=PARTIAL,
            parts=made.parts,
        )
        update = PendingUpdate(
            facts=facts,
            run_number=self._files.number,
            base_sha256=model.sha256,
            update_id=made.sha256,
            file=path.name,
            mmar_digest=self._settings.work_digest,
        )
        require_sayable(update)
        return update


def require_sayable(update: PendingUpdate) -> None:
    """Refuse to say more of sites than one message holds.

    Args:
        update: A sum, with its parts.

    Raises:
        TaskFailedError: TOO_LARGE.
    """
    number = update.run_number
    said = announce(
        update.facts,
        token="",
        run_number=number,
        base_sha256=update.base_sha256,
        update_id=update.update_id,
    )
    if said.ByteSize() > MOST_SAID_BYTES:
        sites = len(update.facts.parts)
        msg = f"what is to be said of {sites} sites is {said.ByteSize()} bytes long"
        hint = (
            f"a message holds {MOST_SAID_BYTES}: let fewer sites, which may say less (metrics), "
            "work below one combiner"
        )
        raise TaskFailedError(msg, hint=hint, reason="TOO_LARGE")


def _raise_end(outcome: RunOutcome) -> NoReturn:
    """Raise why nothing comes from below any more."""
    if outcome.status is RunStatus.FAILED:
        msg = f"the run below has failed: {outcome.reason}"
        raise TaskFailedError(msg, reason="BELOW_FAILED", hint=outcome.hint or None)
    msg = f"the run below was stopped: {outcome.reason}"
    raise RunStoppedError(msg, hint="the same command goes on with it")
