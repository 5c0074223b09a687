# SPDX-License-Identifier: Apache-2.0
"""Sending updates: out of a file into the stream, hashed on the way, until receipted.

An upload may be tried any number of times: its id names its bytes, so the server says
how much of it is there already, or that it was counted before.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mmar_runner.client.transfer.under_way import UnderWay
from mmar_runner.client.transfer.update_file import OutgoingUpdate
from mmar_runner.errors import ProtocolError, RefusedError, UnreachableError, WireError
from mmar_runner.federation.client_machine import MAX_SENDS, Reaction, reaction_to
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.messages import (
    TaskFailure,
    UpdateCommit,
    UpdateCredit,
    UpdateReady,
    UpdateReceipt,
)
from mmar_runner.wire.packing import Packed, pack, packer
from mmar_runner.wire.update_facts import announce

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mmar_runner.client.connection.connection import Connection
    from mmar_runner.client.files.pending import PendingUpdate
    from mmar_runner.client.transfer.downloads import RoundTask
    from mmar_runner.wire.messages import UpdateBegin
    from mmar_runner.wire.stub import FederationStub, UpdateCall

_log = logging.getLogger(__name__)

#: Chunks read from the file at once, in a worker thread.
BATCH_CHUNKS: Final = 2


class UpdateUploads:
    """Submits the updates of one run.

    Args:
        connection: Whom to send them to.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._idle: UpdateCall | None = None
        self._stub: FederationStub | None = None

    async def submit(self, update: PendingUpdate, path: Path) -> UpdateReceipt:
        """Send an update until there is a receipt.

        Args:
            update: What it is.
            path: Its file.

        Raises:
            RefusedError: The server does not want it, and will not later.
            StorageError: The file cannot be read.
        """
        for left in reversed(range(MAX_SENDS)):
            try:
                return await self._connection.call(
                    lambda stub, token: self._send(stub, token, update, path)
                )
            except RefusedError as error:
                if reaction_to(error.reason) is not Reaction.RESEND or not left:
                    raise
        raise AssertionError  # the last attempt returned or raised

    def close(self) -> None:
        """Give up the call that is kept for the next update."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    async def _send(
        self, stub: FederationStub, token: str, update: PendingUpdate, path: Path
    ) -> UpdateReceipt:
        """Send an update over the call that the last one left, or over a new one."""
        if self._stub is not stub:  # the old line has the certificate of another token
            self.close()
        call, self._idle, self._stub = self._idle or stub.submit_update(), None, stub
        try:
            upload = _Upload(
                call, update, path, self._connection.moved, compression=self._compression
            )
            receipt = await upload.send(token, self._inline_bytes)
        except BaseException:
            call.cancel()
            raise
        self._idle = call
        return receipt

    async def report_failure(self, task: RoundTask, failure: TaskFailure) -> None:
        """Tell the server that a task cannot be done.

        A server that has gone on to another round does not mind.

        Args:
            task: Which task.
            failure: Why, in words that may leave the site; the rest is filled in here.
        """
        failure.run_number = self._connection.registration.run_number
        failure.round = task.round
        failure.attempt = task.attempt
        try:
            await self._connection.call(lambda stub, token: _fail(stub, token, failure))
        except RefusedError as error:
            # It has gone on to another round, or does not ask this client any more.
            _log.info("the server did not take the failure: %s", error.message)

    @property
    def _inline_bytes(self) -> int:
        return self._connection.registration.inline_bytes

    @property
    def _compression(self) -> str:
        return self._connection.registration.compression


class _Upload:
    """One attempt to send one update over one call.

    Args:
        call: Where it is sent.
        update: What it is.
        path: Its file.
        moved: Called when the server says that bytes have arrived.
        compression: What was agreed on; empty for none.
    """

    def __init__(
        self,
        call: UpdateCall,
        update: PendingUpdate,
        path: Path,
        moved: Callable[[], None],
        *,
        compression: str = "",
    ) -> None:
        self._compression = compression
        self._call = call
        self._moved = moved
        self._update = update
        self._path = path
        self._credits = 0
        self._credited = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[int] = self._loop.create_future()
        self._under_way = UnderWay(0)

    async def send(self, token: str, inline_bytes: int) -> UpdateReceipt:
        """Send the update and return its receipt."""
        with OutgoingUpdate(self._path, self._update.facts.bytes) as file:
            if self._update.facts.bytes <= inline_bytes:
                return await self._send_inline(token, file)
            return await self._send_stream(token, file)

    async def _send_inline(self, token: str, file: OutgoingUpdate) -> UpdateReceipt:
        # Less than a thread hop costs, and the pages were written a moment ago.
        data = b"".join(file.read(1))
        begin = self._begin(token)
        item = packer(self._compression)(data)
        begin.packed = isinstance(item, Packed)
        begin.inline = item.data if isinstance(item, Packed) else data
        begin.sha256 = file.sha256()
        with suppress(UnreachableError):  # why a write fails is told to the reading side
            await self._call.write(begin)
        return await self._receipt()

    async def _send_stream(self, token: str, file: OutgoingUpdate) -> UpdateReceipt:
        receiving = asyncio.create_task(self._receipt())
        sending = asyncio.create_task(self._send_chunks(token, file))
        try:
            await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and (error := sending.exception()) is not None:
                await _prefer_status(receiving, error)
            return await receiving
        finally:
            sending.cancel()
            receiving.cancel()
            # The file is closed next: no thread may still be reading it.
            await asyncio.wait({sending, receiving})

    async def _send_chunks(self, token: str, file: OutgoingUpdate) -> None:
        await self._call.write(self._begin(token))
        await in_thread(file.skip, await self._ready)
        reading = asyncio.create_task(in_thread(file.read, BATCH_CHUNKS))
        try:
            while chunks := await reading:
                reading = asyncio.create_task(in_thread(file.read, BATCH_CHUNKS))
                for chunk in chunks:
                    await self._send_chunk(chunk)
        finally:
            reading.cancel()
            await asyncio.wait({reading})
        await self._call.write(UpdateCommit(sha256=file.sha256()))

    async def _send_chunk(self, chunk: bytes) -> None:
        """Send a chunk of the file, in as many as the line can bear."""
        begin, left = 0, memoryview(chunk)
        while begin < len(left):
            await self._credit()
            part = left[begin : begin + self._under_way.chunk_bytes]
            begin += len(part)
            item = await in_thread(pack, part) if self._compression else part
            self._under_way.sent(len(part), self._loop.time())
            await self._call.write(item)

    async def _credit(self) -> None:
        while not self._credits or not self._under_way.has_room():
            self._credited.clear()
            await self._credited.wait()
        self._credits -= 1

    async def _receipt(self) -> UpdateReceipt:
        """Take the server's replies until the receipt."""
        while (reply := await self._call.read()) is not None:
            match reply:
                case UpdateReceipt():
                    return reply
                case UpdateReady():
                    self._start(reply)
                case UpdateCredit():
                    self._credits += reply.credits
                    self._moved()
                    self._under_way.arrived(reply.offset, self._loop.time())
            self._credited.set()
        msg = "the server ended the upload without a receipt"
        raise UnreachableError(msg)

    def _start(self, ready: UpdateReady) -> None:
        if self._ready.done() or ready.offset > self._update.facts.bytes:
            msg = "the server's answer to an upload makes no sense"
            raise ProtocolError(msg)
        self._credits += ready.credits
        self._under_way = UnderWay(ready.offset)
        self._ready.set_result(ready.offset)

    def _begin(self, token: str) -> UpdateBegin:
        update = self._update
        return announce(
            update.facts,
            token=token,
            run_number=update.run_number,
            base_sha256=update.base_sha256,
            update_id=update.update_id,
        )


async def _fail(stub: FederationStub, token: str, failure: TaskFailure) -> None:
    call = stub.submit_update()
    try:
        failure.token = token
        await call.write(failure)
        await call.done_writing()
        await call.read()
    finally:
        call.cancel()


async def _prefer_status(receiving: asyncio.Task[UpdateReceipt], error: BaseException) -> None:
    """Raise the status with which the server ended the call, or else the error of a write."""
    if isinstance(error, WireError):
        # A write that fails says nothing about why; the reading side is told.
        await receiving
    raise error
