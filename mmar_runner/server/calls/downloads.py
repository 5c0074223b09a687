# SPDX-License-Identifier: Apache-2.0
"""Sends models: one header, then the file's bytes as the client takes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal

from mmar_runner.errors import StorageError
from mmar_runner.server.calls.file_chunks import file_chunks
from mmar_runner.server.calls.packed_models import PackedModels
from mmar_runner.wire.codec import FramedBuffer
from mmar_runner.wire.messages import GetModelRequest, ModelHeader
from mmar_runner.wire.packing import on_wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mmar_runner.federation.assignment import Expected
    from mmar_runner.server.calls.soundness import Soundness
    from mmar_runner.server.calls.windows import SharedWindow
    from mmar_runner.server.members.members import Members
    from mmar_runner.server.records.model_file import ModelFile
    from mmar_runner.server.records.models import ModelStore
    from mmar_runner.server.rounds.assignments import Assignments
    from mmar_runner.server.rounds.open_round import OpenRound
    from mmar_runner.wire.codec import SentModelItem
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.packing import Packed, Raw


#: The task that is no round: to validate everybody's models.
_VALIDATION: Final = "validation"


class Downloads:
    """Answers GetModel.

    Args:
        assignments: Know when there is work for a client.
        members: Knows whose token it is.
        models: Finds models by id.
        soundness: Notices that a model was damaged.
        window: Of all downloads.
        packed: Whether models are compressed on their way.
        expected: Says what is expected of a combiner, where clients are assigned.
    """

    def __init__(
        self,
        assignments: Assignments,
        members: Members,
        models: ModelStore,
        soundness: Soundness,
        *,
        window: SharedWindow,
        packed: bool = False,
        expected: Callable[[str], Expected | None] = lambda _: None,
    ) -> None:
        self._assignments = assignments
        self._members = members
        self._models = models
        self._soundness = soundness
        self._window = window
        self._packed = PackedModels() if packed else None
        self._expected = expected
        self._newest: dict[str, object] = {}
        self._sent: dict[str, tuple[int, int]] = {}
        self._end_told: set[str] = set()
        self._told = asyncio.Event()

    async def get_model(self, request: GetModelRequest, peer: Peer) -> AsyncIterator[SentModelItem]:
        """Yield the models of a client's tasks, each a header and its bytes.

        The stream is held until there is a task, and goes on with the next one, so
        that a round costs no call of its own. It ends with the run. With a model id
        it yields that model and ends.

        Raises:
            RefusedError: TOKEN_INVALID, TOKEN_EXPIRED, TOKEN_NOT_BOUND or MODEL_UNKNOWN.
            StorageError: A model cannot be read, or was damaged.
        """
        client = self._members.authenticate(request.token, peer).name
        if request.model_id:
            model = await asyncio.to_thread(self._models.by_id, request.model_id)
            header = ModelHeader(round=-1, total_bytes=model.size, sha256=model.sha256)
            async for item in self._model(client, header, model, request):
                yield item
            return
        after = (request.after_round, request.after_attempt)
        newest = self._newest[client] = object()
        self._assignments.wake(client)  # an older stream has to look whether it is the newest
        self._members.given(client, after)
        asked = False
        while (current := await self._next_task(client, after, newest, asked=asked)) is not None:
            if isinstance(current, str):
                asked = True
                yield ModelHeader(round=-1, cross_site=True)
                continue
            header = ModelHeader(
                round=current.number,
                total_bytes=current.model.size,
                sha256=current.model.sha256,
                attempt=current.invited[client],
            )
            if (expected := self._expected(client)) is not None:
                header.sites.extend(sorted(expected.sites))
                header.needed = expected.needed
            after = (header.round, header.attempt)
            self._members.given(client, after)
            if self._sent.get(client) == after:  # it may have arrived, and been damaged
                await self._soundness.doubt(current.number, current.model)
            async for item in self._model(client, header, current.model, request):
                yield item
            self._sent[client] = after
            request = GetModelRequest()  # only the first transfer can be a resumed one
        if self._newest.get(client) is newest:
            yield ModelHeader(end=self._assignments.outcome())
            self._note_end(client)

    async def _model(
        self, client: str, header: ModelHeader, model: ModelFile, request: GetModelRequest
    ) -> AsyncIterator[SentModelItem]:
        """Yield a header and what is to follow it; a transfer that broke off goes on.

        What a client takes renews its lease: its heartbeats' answers wait behind it. Somebody
        who is gone takes no more than fits into the transport's window.
        """
        if model.inline is not None:
            if self._packed is not None:
                self._packed.put_inline(model, header)
            else:
                header.inline = model.inline
            yield header
            self._members.sent(client, header.round, model.size, len(header.inline))
            return
        await self._soundness.require(header.round, model)
        if request.sha256 == model.sha256 and request.offset <= model.size:
            header.offset = request.offset
        with self._models.reading(model), self._window.user():
            yield header
            async for chunk in self._chunks(client, model, header):
                yield chunk
            self._members.arrived(client)

    async def _chunks(
        self, client: str, model: ModelFile, header: ModelHeader
    ) -> AsyncIterator[FramedBuffer | Raw | Packed]:
        done, wire_bytes = header.offset, 0
        chunks: AsyncIterator[FramedBuffer | Raw | Packed]
        if self._packed is not None:
            chunks = self._packed.chunks(model, self._window, offset=done)
        else:
            chunks = file_chunks(model.path, model.size, self._window, offset=done)
        try:
            async for chunk in chunks:
                yield chunk
                payload = chunk.payload if isinstance(chunk, FramedBuffer) else chunk
                done += len(payload)
                wire_bytes += on_wire(payload)
                self._members.progressed(client, done, model.size)
        except StorageError:
            await self._soundness.doubt(header.round, model)
            raise
        finally:
            self._members.sent(client, header.round, done - header.offset, wire_bytes)

    async def _next_task(
        self, client: str, after: tuple[int, int], mine: object, *, asked: bool
    ) -> OpenRound | Literal["validation"] | None:
        """Wait for a task; None once the run is over or a newer stream has taken over.

        Args:
            client: Whose.
            after: The task that it had last.
            mine: The stream that waits.
            asked: Whether it knows that cross-site validation has begun.
        """
        while self._newest.get(client) is mine and self._assignments.outcome() is None:
            if (current := self._assignments.task_of(client, after)) is not None:
                return current
            if not asked and client in self._assignments.validating:
                return _VALIDATION
            await self._assignments.changed_for(client)
        return None

    async def all_told(self, seconds: float) -> None:
        """Wait until every client that is there knows that the run has ended."""
        try:
            async with asyncio.timeout(seconds):
                while self.untold():
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            return

    def untold(self) -> list[str]:
        """Return which clients are there and do not know yet that the run has ended, sorted."""
        return sorted(set(self._members.present()) - self._end_told)

    def client_left(self) -> None:
        """Look again at who must still be told."""
        self._told.set()

    def _note_end(self, client: str) -> None:
        self._end_told.add(client)
        self._told.set()
