# SPDX-License-Identifier: Apache-2.0
"""Cross-site validation on the line: the best model goes out, others come in, answers go out."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.client.files.pending import PendingUpdate
from mmar_runner.client.transfer.downloads import pump
from mmar_runner.client.transfer.model_file import IncomingModel
from mmar_runner.client.transfer.uploads import UpdateUploads
from mmar_runner.errors import DigestError, ProtocolError, UnreachableError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.update import UpdateFacts
from mmar_runner.storage.atomic import translated
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.messages import (
    CrossSiteResult,
    GetValidationModelsRequest,
    ModelHeader,
    UpdateReceipt,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.client.connection.connection import Connection
    from mmar_runner.client.files.workspace import RunFiles
    from mmar_runner.wire.messages import TaskFailure
    from mmar_runner.wire.stub import FederationStub

#: How long the server may take to keep an answer, in seconds.
_RESULT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ModelToValidate:
    """A model that is complete and checked.

    Attributes:
        owner: Whose.
        path: Its file, until the next one comes.
        sha256: Of it, hex.
    """

    owner: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelWanted:
    """The server has no best local model of this site, or none any more."""


class ValidationModels:
    """The calls of one site's cross-site validation.

    Args:
        connection: Whom to call.
        files: The run's files.
    """

    def __init__(self, connection: Connection, files: RunFiles) -> None:
        self._connection = connection
        self._files = files
        self._incoming: IncomingModel | None = None
        self._owner = ""

    async def submit(self, path: Path, metrics: Mapping[str, float]) -> UpdateReceipt:
        """Send the best local model until there is a receipt.

        Raises:
            RefusedError: The server does not want it.
            StorageError: The file cannot be read.
        """
        facts = UpdateFacts(
            round=-1,
            bytes=await in_thread(_size, path),
            num_samples=1,
            kind=UpdateKind.WEIGHTS,
            metrics=dict(metrics),
            validation={},
            seconds_train=0.0,
        )
        model = PendingUpdate(
            facts=facts,
            run_number=self._files.number,
            base_sha256="",
            update_id=uuid.uuid4().hex,
            file=path.name,
            mmar_digest="",
        )
        uploads = UpdateUploads(
            self._connection, lambda stub: stub.submit_best_local_model(), inline_bytes=0
        )
        try:
            return await uploads.submit(model, path)
        finally:
            uploads.close()

    async def has_none(self, failure: TaskFailure) -> None:
        """Say that there is no best local model, and why.

        Raises:
            RefusedError: Nobody asks.
        """
        failure.run_number, failure.round = self._files.number, -1

        async def say(stub: FederationStub, token: str) -> None:
            call = stub.submit_best_local_model()
            try:
                failure.token = token
                await call.write(failure)
                await call.done_writing()
                await call.read()
            finally:
                call.cancel()

        await self._connection.call(say)

    async def next(self) -> ModelToValidate | ModelWanted | None:
        """Wait for the next model that this site is to validate; None if none is left.

        If its own is to be submitted first, that is said in its place.

        Raises:
            RefusedError: Nobody asks any more.
            StorageError: It cannot be kept.
        """
        try:
            return await self._connection.call(self._receive)
        finally:
            self._forget()

    async def answer(self, result: CrossSiteResult) -> None:
        """Say what a model is worth, until that is on record.

        Raises:
            RefusedError: Nobody asks.
        """
        result.run_number = self._files.number

        async def send(stub: FederationStub, token: str) -> None:
            result.token = token
            await stub.submit_cross_site_result(result, timeout=_RESULT_SECONDS)

        await self._connection.call(send)

    async def _receive(
        self, stub: FederationStub, token: str
    ) -> ModelToValidate | ModelWanted | None:
        request = GetValidationModelsRequest(token=token)
        if self._incoming is not None:
            request.offset, request.sha256 = self._incoming.offset, self._incoming.sha256
        call = stub.get_validation_models(request)
        try:
            items = aiter(call)
            header = await anext(items, None)
            if not isinstance(header, ModelHeader):
                msg = "the server sent no header of a model to validate"
                raise (UnreachableError if header is None else ProtocolError)(msg)
            if header.complete:
                return None
            if header.cross_site:
                return ModelWanted()
            incoming = self._opened(header)
            if header.inline:
                incoming.write([header.inline])
            else:
                await pump(items, incoming, self._connection.moved)
            if incoming.offset < header.total_bytes:
                msg = f"a model broke off after {incoming.offset} of {header.total_bytes} bytes"
                raise UnreachableError(msg)
            incoming.finish()
        except DigestError as error:
            self._forget()  # damaged on its way: from the beginning, after a pause
            raise UnreachableError(error.message) from error
        finally:
            call.cancel()
        return ModelToValidate(header.owner, incoming.path, header.sha256)

    def _opened(self, header: ModelHeader) -> IncomingModel:
        partial = self._incoming
        if partial is not None and self._owner == header.owner and partial.continues(header):
            return partial
        self._forget()
        if header.offset:
            msg = f"the server began at byte {header.offset}, which nobody asked for"
            raise ProtocolError(msg)
        self._incoming = IncomingModel(self._files.to_validate, header)
        self._owner = header.owner
        return self._incoming

    def _forget(self) -> None:
        if self._incoming is not None:
            self._incoming.close()
            self._incoming = None


def _size(path: Path) -> int:
    with translated(path):
        return path.stat().st_size
