# SPDX-License-Identifier: Apache-2.0
"""Hands a client the models that it is to validate, one a call, and hears what each is worth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import RefusedError
from mmar_runner.federation.metrics import METRICS_RULE, are_metric_names
from mmar_runner.server.calls.file_chunks import file_chunks
from mmar_runner.server.records.cross_site_state import Validated
from mmar_runner.server.wording import plain
from mmar_runner.wire.codec import FramedBuffer
from mmar_runner.wire.messages import CrossSiteResultReply, ModelHeader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mmar_runner.server.calls.windows import SharedWindow
    from mmar_runner.server.cross_site.desk import CrossSiteDesk
    from mmar_runner.server.members.members import Members
    from mmar_runner.server.records.model_file import ModelFile
    from mmar_runner.server.records.models import ModelStore
    from mmar_runner.wire.codec import SentModelItem
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import CrossSiteResult, GetValidationModelsRequest

#: Letters of an owner's name that are repeated, and of why a model was not validated.
_MAX_NAME: Final = 100
_MAX_REASON: Final = 64
_MAX_MESSAGE: Final = 500


class ModelsToValidate:
    """Answers GetValidationModels and SubmitCrossSiteValidationResults.

    Args:
        desk: Knows who is still to validate what.
        members: Knows whose token it is.
        models: Keeps the server's models while they are read.
        window: Of all downloads.
        run_number: The run that must be named.
    """

    def __init__(
        self,
        desk: CrossSiteDesk,
        members: Members,
        models: ModelStore,
        *,
        window: SharedWindow,
        run_number: int,
    ) -> None:
        self._desk = desk
        self._members = members
        self._models = models
        self._window = window
        self._run_number = run_number
        self._newest: dict[str, object] = {}

    async def get(
        self, request: GetValidationModelsRequest, peer: Peer
    ) -> AsyncIterator[SentModelItem]:
        """Yield the next model that a client is to validate, or that there is none any more.

        Raises:
            RefusedError: Not this client, or not now.
            StorageError: A model cannot be read.
        """
        client = self._members.authenticate(request.token, peer).name
        newest = self._newest[client] = object()
        while self._newest.get(client) is newest:
            machine = self._desk.require_participant(client)
            if machine.awaits_model(client):  # it was sent, maybe, and lost with the machine
                yield ModelHeader(round=-1, cross_site=True)
                return
            if outstanding := machine.outstanding(client):
                async for item in self._model(client, outstanding[0], request):
                    yield item
                return
            if machine.all_submitted:
                yield ModelHeader(round=-1, complete=True)
                return
            await self._desk.changed()

    async def take(self, result: CrossSiteResult, peer: Peer) -> CrossSiteResultReply:
        """Take one answer; once it is on record it may be forgotten over there.

        Raises:
            RefusedError: RUN_MISMATCH, CROSS_SITE_CLOSED, NOT_A_PARTICIPANT, MODEL_UNKNOWN,
                BASE_MISMATCH or METRICS.
            StorageError: It cannot be put on record.
        """
        client = self._members.authenticate(result.token, peer).name
        if result.run_number != self._run_number:
            msg = f"this is run {self._run_number}, not run {result.run_number}"
            raise RefusedError(msg, reason="RUN_MISMATCH", hint="register again")
        machine = self._desk.require_participant(client)
        if result.owner not in machine.owners:
            msg = f"nobody asks for a validation of {plain(result.owner, _MAX_NAME)!r}"
            raise RefusedError(msg, reason="MODEL_UNKNOWN", hint=f"known: {list(machine.owners)}")
        if result.sha256 != self._desk.file_of(result.owner).sha256:
            msg = f"it was another model of {result.owner} that was validated"
            raise RefusedError(msg, reason="BASE_MISMATCH", hint="ask for the model again")
        if not are_metric_names(result.metrics):
            raise RefusedError(f"these are no metrics: {METRICS_RULE}", reason="METRICS")
        if result.owner in machine.outstanding(client):
            await self._desk.answered(_validated(client, result))
        return CrossSiteResultReply()

    async def _model(
        self, client: str, owner: str, request: GetValidationModelsRequest
    ) -> AsyncIterator[SentModelItem]:
        model = self._desk.file_of(owner)
        header = ModelHeader(round=-1, total_bytes=model.size, sha256=model.sha256, owner=owner)
        if model.inline is not None:
            header.inline = model.inline
            yield header
            return
        if request.sha256 == model.sha256 and request.offset <= model.size:
            header.offset = request.offset
        with self._models.reading(model), self._window.user():
            yield header
            async for chunk in self._chunks(client, model, header.offset):
                yield chunk
            self._members.arrived(client)

    async def _chunks(
        self, client: str, model: ModelFile, done: int
    ) -> AsyncIterator[FramedBuffer | bytes]:
        async for chunk in file_chunks(model.path, model.size, self._window, offset=done):
            yield chunk
            done += len(chunk.payload if isinstance(chunk, FramedBuffer) else chunk)
            self._members.progressed(client, done, model.size)


def _validated(client: str, result: CrossSiteResult) -> Validated:
    """Return what is kept of an answer: numbers that can be compared, or why there are none."""
    metrics = {
        name: float(value) for name, value in sorted(result.metrics.items()) if math.isfinite(value)
    }
    if metrics:
        return Validated(client, result.owner, metrics)
    reason = plain(result.reason, _MAX_REASON) or "NO_METRICS"
    message = plain(result.message, _MAX_MESSAGE) or "no metric of it is a finite number"
    return Validated(client, result.owner, reason=f"{reason}: {message}")
