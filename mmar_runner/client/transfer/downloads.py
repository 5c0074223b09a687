# SPDX-License-Identifier: Apache-2.0
"""Receiving global models: from the stream into a file, hashed on the way.

Chunks go to a worker thread in batches, one batch being written while the next one
arrives, so that memory holds two batches whatever the model's size. A transfer that
broke off goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from mmar_runner.client.connection.least_pace import Pace
from mmar_runner.client.transfer.model_file import IncomingModel
from mmar_runner.errors import DigestError, ProtocolError, StorageError, UnreachableError
from mmar_runner.federation.run_status import RunEndStatus, run_end
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.messages import GetModelRequest, ModelHeader
from mmar_runner.wire.packing import COMPRESSION, Packed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from mmar_runner.client.connection.connection import Connection
    from mmar_runner.client.files.workspace import RunFiles
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.wire.codec import Chunk, ModelItem
    from mmar_runner.wire.messages import RunEnd
    from mmar_runner.wire.stub import FederationStub, ModelCall

#: Chunks handed to the worker thread at once.
BATCH_CHUNKS: Final = 2


@dataclass(frozen=True, slots=True)
class ReceivedModel:
    """A round's task: the global model, complete and checked.

    Attributes:
        round: The round.
        attempt: Which attempt of its task.
        path: Where the model lies.
        sha256: Of the file, hex.
        total_bytes: Its size.
        sites: Of a combiner's task: who works below it, where clients are assigned.
        needed: Of how many of them the sum needs updates.
    """

    round: int
    attempt: int
    path: Path
    sha256: str
    total_bytes: int
    sites: tuple[str, ...] = ()
    needed: int = 0


@dataclass(frozen=True, slots=True)
class UnkeptModel:
    """A round's task whose model could not be kept: the disk is full, or read-only."""

    round: int
    attempt: int
    error: StorageError


@dataclass(frozen=True, slots=True)
class RunEnded:
    """No model follows: the run is over."""

    status: RunEndStatus
    reason: str


@dataclass(frozen=True, slots=True)
class CrossSiteTask:
    """The rounds are done, and everybody's models are to be validated."""


RoundTask: TypeAlias = ReceivedModel | UnkeptModel
NextTask: TypeAlias = RoundTask | CrossSiteTask | RunEnded


class ModelDownloads:
    """Receives the models of one run, one at a time.

    Args:
        connection: Whom to ask.
        files: Where the models go.
        observer: Sees each model that is complete.
    """

    def __init__(self, connection: Connection, files: RunFiles, observer: Observer) -> None:
        self._connection = connection
        self._files = files
        self._observer = observer
        self._incoming: IncomingModel | None = None
        self._held: _HeldCall | None = None
        self._after = (-1, 0)

    async def next_task(self, after_round: int, after_attempt: int = 0) -> NextTask:
        """Wait for the next task and receive its model.

        Args:
            after_round: The round whose task this client has, or had, last; -1 before
                the first.
            after_attempt: The attempt of that round that it was given.

        Raises:
            RefusedError: The server refused for good.
        """
        self._after = (after_round, after_attempt)
        try:
            return await self._connection.call(self._receive)
        finally:
            self._forget()

    def keep_only(self, *needed: Path | None) -> None:
        """Let others have the files of all models but these and the one that comes."""
        coming = None if self._incoming is None else self._incoming.path
        self._files.models.keep_only((*needed, coming))

    def ask_anew(self) -> None:
        """Ask for whatever task there is, even one that this client has had.

        A server that was killed may not know of a task that it had given: it then gives it
        again, which a client that waits for a later one would never hear of.
        """
        self._after = (-1, 0)
        if self._held is not None and self._held.waits:
            self.close()

    async def _receive(self, stub: FederationStub, token: str) -> NextTask:
        try:
            header = await self._header(stub, token)
            if header.HasField("end"):
                return _end(header.end)
            if header.cross_site:
                return CrossSiteTask()
            return await self._take(header, self._current(stub, token).items)
        except DigestError as error:
            self._forget()  # damaged on its way: from the beginning, after a pause
            self.close()
            raise UnreachableError(error.message) from error
        except StorageError as error:
            self.close()  # the rest of this model would come first
            return UnkeptModel(header.round, header.attempt, error)
        except BaseException:
            self.close()
            raise

    async def _header(self, stub: FederationStub, token: str) -> ModelHeader:
        while True:
            held = self._current(stub, token)
            try:
                header = await held.header()
            except UnreachableError:
                if held is self._held:
                    raise
            else:
                if held is self._held:
                    return header
            # It was given up to ask anew, maybe with a header on its last steps to here.

    def _current(self, stub: FederationStub, token: str) -> _HeldCall:
        if self._held is None:
            self._held = _HeldCall(stub.get_model(self._request(token, self._after)))
        return self._held

    def close(self) -> None:
        """Give up the call that brings one model after the other."""
        if self._held is not None:
            self._held.call.cancel()
            self._held = None

    def _request(self, token: str, after: tuple[int, int]) -> GetModelRequest:
        request = GetModelRequest(token=token, after_round=after[0], after_attempt=after[1])
        if self._incoming is not None:
            request.offset = self._incoming.offset
            request.sha256 = self._incoming.sha256
        return request

    async def _take(self, header: ModelHeader, items: AsyncIterator[ModelItem]) -> ReceivedModel:
        started = time.monotonic()
        incoming = self._opened(header)
        packed = bool(self._connection.registration.compression)
        if header.inline:
            # Less than a thread hop costs: it goes to the kernel's memory, not to the disk.
            incoming.write([_inline(header, packed=packed)])
        else:
            await pump(items, incoming, self._connection.moved, packed=packed)
        if incoming.offset < header.total_bytes:
            msg = f"the model broke off after {incoming.offset} of {header.total_bytes} bytes"
            raise UnreachableError(msg)
        incoming.finish()
        facts = {
            "round": header.round,
            "bytes": header.total_bytes,
            "seconds": time.monotonic() - started,
        }
        self._observer.observe(Observation(Topic.MODEL_RECEIVED, facts))
        return ReceivedModel(
            *(header.round, header.attempt, incoming.path, header.sha256, header.total_bytes),
            sites=tuple(header.sites),
            needed=header.needed,
        )

    def _opened(self, header: ModelHeader) -> IncomingModel:
        partial = self._incoming
        if partial is not None and partial.continues(header):
            return partial
        self._forget()
        if header.offset:
            msg = f"the server began at byte {header.offset}, which nobody asked for"
            raise ProtocolError(msg)
        self._incoming = IncomingModel(self._files.models.take(), header)
        return self._incoming

    def _forget(self) -> None:
        if self._incoming is not None:
            self._incoming.close()
            self._incoming = None


class _HeldCall:
    """A GetModel that stays open from one round to the next.

    Attributes:
        call: The call.
        items: What it brings.
        waits: Whether the next thing that it brings is a header, and it is waited for.
    """

    def __init__(self, call: ModelCall) -> None:
        self.call = call
        self.items = aiter(call)
        self.waits = False

    async def header(self) -> ModelHeader:
        """Wait for the header of the next model."""
        self.waits = True
        try:
            item = await anext(self.items, None)
        finally:
            self.waits = False
        if item is None:
            msg = "the server ended the stream of models"
            raise UnreachableError(msg)
        if not isinstance(item, ModelHeader):
            msg = "the server sent part of a model without a header"
            raise ProtocolError(msg)
        return item


def _end(told: RunEnd) -> RunEnded:
    """Return how the run has ended, from what the server tells of it."""
    try:
        return RunEnded(run_end(told.status), told.reason)
    except ValueError as error:
        msg = f"the server says that the run has ended, and how in a word unknown here: {error}"
        raise ProtocolError(msg) from error


def _inline(header: ModelHeader, *, packed: bool) -> Chunk | Packed:
    if not header.packed:
        return header.inline
    _require_agreed(packed=packed)
    return Packed(header.total_bytes, header.inline)


def _require_agreed(*, packed: bool) -> None:
    if not packed:
        msg = "the server sent something compressed, and no compression is agreed on"
        raise ProtocolError(msg, reason=COMPRESSION)


async def pump(
    items: AsyncIterator[ModelItem],
    incoming: IncomingModel,
    moved: Callable[[], None],
    *,
    packed: bool = False,
) -> None:
    """Move chunks to the file, one batch being written while the next arrives."""
    expected = incoming.total_bytes - incoming.offset
    pace = Pace("the model")
    writing: asyncio.Task[None] | None = None
    batch: list[Chunk | Packed] = []
    try:
        while expected > 0 and (item := await pace.next(items)) is not None:
            if isinstance(item, ModelHeader):
                msg = "a second header arrived in the middle of a model"
                raise ProtocolError(msg)
            if isinstance(item, Packed):
                _require_agreed(packed=packed)
            pace.took(len(item))
            moved()
            expected -= len(item)
            batch.append(item)
            if len(batch) == BATCH_CHUNKS:
                if writing is not None:
                    await writing
                writing = asyncio.create_task(in_thread(incoming.write, batch))
                batch = []
    finally:
        # Whatever happened: nobody may touch the file while a thread writes to it.
        if writing is not None:
            await asyncio.wait({writing})
    if writing is not None:
        await writing
    await in_thread(incoming.write, batch)
