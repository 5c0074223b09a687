# SPDX-License-Identifier: Apache-2.0
"""Takes in clients' best local models, as large updates are taken in: checked while they come."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import DigestError, ProtocolError, RefusedError
from mmar_runner.federation.weights import MAX_SAMPLES
from mmar_runner.server.calls.announcement import (
    UNUSABLE,
    UNUSABLE_REASONS,
    accepted,
    check_announcement,
)
from mmar_runner.server.calls.attempts import Attempts
from mmar_runner.server.calls.paced_stream import PacedStream, message_paces
from mmar_runner.server.calls.streaming import ChunkReceiver
from mmar_runner.server.calls.windows import SharedWindow
from mmar_runner.server.cross_site.desk import NO_ROUND
from mmar_runner.server.records.cross_site_state import BestLocalModel
from mmar_runner.server.wording import plain
from mmar_runner.storage.spool_file import SpoolFile
from mmar_runner.waiting.threads import DiskThreads
from mmar_runner.wire.limits import UPLOAD_CHUNKS, UPLOAD_WINDOW_CHUNKS
from mmar_runner.wire.messages import TaskFailure, UpdateBegin, UpdateReceipt
from mmar_runner.wire.update_facts import announced_facts

if TYPE_CHECKING:
    from mmar_runner.interfaces.update import UpdateFacts
    from mmar_runner.server.cross_site.desk import CrossSiteDesk
    from mmar_runner.server.members.members import Members
    from mmar_runner.server.members.registry import Client
    from mmar_runner.storage.model_schema import ModelSchema
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.servicer import UpdateStream

_DISK_THREADS: Final = 2
#: Models that are received at once; the others wait.
BULK_MODELS: Final = 16
#: Letters that are kept of why a client has no model.
_MAX_REASON: Final = 64
_MAX_MESSAGE: Final = 500


class BestModels:
    """Answers SubmitBestLocalModel.

    Args:
        desk: Knows who takes part, and what is there.
        members: Knows whose token it is.
        schema: The tensors that each must have.
        durable: Whether files are forced to disk before the receipt.
        run_number: The run that must be named.
        packed: Whether clients may compress what they send.
    """

    def __init__(
        self,
        desk: CrossSiteDesk,
        members: Members,
        schema: ModelSchema,
        *,
        durable: bool,
        run_number: int,
        packed: bool = False,
    ) -> None:
        self._packed = packed
        self._desk = desk
        self._members = members
        self._schema = schema
        self._durable = durable
        self._run_number = run_number
        self._window = SharedWindow(UPLOAD_CHUNKS, least=1, most=UPLOAD_WINDOW_CHUNKS)
        self._disk = DiskThreads(_DISK_THREADS, name="best-models")
        self._places = asyncio.Semaphore(BULK_MODELS)
        self._attempts = Attempts(schema.data_bytes + schema.header_limit)
        self._receiving: dict[str, asyncio.Task[BestLocalModel]] = {}
        self._paces = message_paces()

    async def submit(self, stream: UpdateStream, peer: Peer) -> None:
        """Answer one SubmitBestLocalModel.

        Raises:
            RefusedError: Why nothing was taken.
            StorageError: Why the model is not usable, or cannot be stored.
        """
        stream = PacedStream(stream, self._paces, peer)
        match await stream.read():
            case UpdateBegin() as begin:
                session = self._members.authenticate(begin.token, peer)
                duplicate = not await self._take(session, begin, stream)
            case TaskFailure() as failure:
                session = self._members.authenticate(failure.token, peer)
                duplicate = not await self._lacks(session.name, failure)
            case _:
                msg = "a model begins with Begin, or there is a TaskFailure in its place"
                raise ProtocolError(msg)
        await stream.write(UpdateReceipt(duplicate=duplicate, round=-1))

    async def close(self) -> None:
        """Wait for the disk."""
        await self._disk.close()

    def _awaits(self, client: str, run_number: int) -> bool:
        if run_number != self._run_number:
            msg = f"this is run {self._run_number}, not run {run_number}"
            raise RefusedError(msg, reason="RUN_MISMATCH", hint="register again")
        return self._desk.require_participant(client).awaits_model(client)

    async def _lacks(self, client: str, failure: TaskFailure) -> bool:
        if not self._awaits(client, failure.run_number):
            return False
        reason = plain(failure.reason, _MAX_REASON) or "TASK_FAILED"
        why = f"{reason}: {plain(failure.message, _MAX_MESSAGE)}"
        await self._desk.model_given(BestLocalModel(client, reason=why))
        return True

    async def _take(self, session: Client, begin: UpdateBegin, stream: UpdateStream) -> bool:
        """Receive a model; return False if one is there, or none is awaited any more."""
        client = session.name
        if not self._awaits(client, begin.run_number):
            return False
        try:
            facts = announced_facts(begin)
            check_announcement(begin, facts, self._schema, MAX_SAMPLES)
            if begin.inline:
                msg = "a best local model comes in chunks"
                raise ProtocolError(msg)
            model = await self._exclusively(session, begin, facts, stream)
        except (*UNUSABLE, RefusedError) as error:
            if error.reason in UNUSABLE_REASONS:  # it would be the same the next time
                why = f"{error.reason}: {error.message}"
                await self._desk.model_given(BestLocalModel(client, reason=why))
            raise
        self._members.require_session(session)
        self._members.arrived(client)
        await self._desk.model_given(model)
        return True

    async def _exclusively(
        self, session: Client, begin: UpdateBegin, facts: UpdateFacts, stream: UpdateStream
    ) -> BestLocalModel:
        """Receive a model; a newer attempt of the same client ends this one."""
        self._attempts.check(session.name, NO_ROUND)
        while (older := self._receiving.get(session.name)) is not None:
            older.cancel()
            await asyncio.wait({older})
        mine = asyncio.create_task(self._spooled(session.name, begin, facts, stream))
        self._receiving[session.name] = mine
        try:
            await asyncio.wait({mine})
        finally:
            mine.cancel()
            if self._receiving.get(session.name) is mine:
                del self._receiving[session.name]
        if mine.cancelled():
            msg = f"a newer attempt of {session.name} has taken over"
            raise RefusedError(msg, reason="TOO_MANY_UPLOADS")
        return mine.result()

    async def _spooled(
        self, client: str, begin: UpdateBegin, facts: UpdateFacts, stream: UpdateStream
    ) -> BestLocalModel:
        async with self._places:
            file = await self._disk.run(
                self._desk.spool.open,
                NO_ROUND,
                client,
                begin.update_id,
                begin.total_bytes,
                self._schema,
                undo=SpoolFile.close,
            )
            before, spoiled = file.offset, False
            try:
                receiver = ChunkReceiver(
                    stream,
                    file,
                    self._disk,
                    window=self._window,
                    progress=partial(self._members.progressed, client, total=begin.total_bytes),
                    packed=self._packed,
                )
                digest = await receiver.receive()
                self._desk.require_participant(client)
                await self._disk.run(file.commit, digest, self._durable)
            except (*UNUSABLE, DigestError):
                spoiled = True
                await self._disk.run(file.discard)
                raise
            finally:
                self._attempts.count(client, NO_ROUND, file.offset - before, spoiled=spoiled)
                file.close()
        update = accepted(client, facts, digest, seconds_upload=0, inline=False, wire_bytes=0)
        return BestLocalModel(client, digest, begin.total_bytes, update.facts.reported)
