# SPDX-License-Identifier: Apache-2.0
"""Takes the chunks of one large update: written, hashed and checked off the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import MmarRunnerError, ProtocolError, RefusedError
from mmar_runner.wire.limits import CHUNK_BYTES
from mmar_runner.wire.messages import UpdateCommit, UpdateCredit, UpdateReady

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.server.calls.windows import SharedWindow
    from mmar_runner.storage.spool_file import SpoolFile
    from mmar_runner.waiting.threads import DiskThreads
    from mmar_runner.wire.codec import Chunk
    from mmar_runner.wire.servicer import UpdateStream

#: Seconds in which a sender must send at least so many bytes, or the rest of its update:
#: whoever only drips would keep one of the places of those who send.
_CHUNK_SECONDS: Final = 60.0
_LEAST_BYTES: Final = 64 << 10


class ChunkReceiver:
    """Receives one update: what has arrived is written while more arrives.

    The sender may have as many chunks under way as its share of the window; credits
    are given back as chunks are written. Whoever sends without credit is refused: what
    arrives waits in memory.

    Args:
        stream: Where the chunks come from and the credits go.
        file: Where they are written.
        disk: Threads that may wait for the disk.
        window: Chunks that all senders together may have under way.
        progress: Called for every batch, with the number of bytes that are there.
    """

    def __init__(
        self,
        stream: UpdateStream,
        file: SpoolFile,
        disk: DiskThreads,
        *,
        window: SharedWindow,
        progress: Callable[[int], None],
    ) -> None:
        self._stream = stream
        self._file = file
        self._disk = disk
        self._window = window
        self._progress = progress
        self._outstanding = 0
        self._credits = 0
        self._arrived: asyncio.Queue[Chunk | UpdateCommit | MmarRunnerError] = asyncio.Queue()

    async def receive(self) -> str:
        """Take chunks until the Commit and return the sha256 that it names.

        Raises:
            ProtocolError: Something else than chunks and a Commit came, or a chunk without
                credit.
            RefusedError: TOO_SLOW.
            StorageError: The bytes are not usable, or cannot be written.
        """
        with self._window.user():
            self._outstanding = self._window.share
            self._credits = self._outstanding
            ready = UpdateReady(offset=self._file.offset, credits=self._credits)
            await self._stream.write(ready)
            reading = asyncio.create_task(self._read_all())
            try:
                return await self._write_all()
            finally:
                reading.cancel()
                await asyncio.wait({reading})

    async def _write_all(self) -> str:
        while True:
            chunks, last = await self._next()
            if chunks:
                await self._write(chunks)
            if isinstance(last, UpdateCommit):
                return last.sha256
            if last is not None:
                raise last
            self._progress(self._file.offset)
            await self._give_credits(len(chunks))

    async def _next(self) -> tuple[list[Chunk], UpdateCommit | MmarRunnerError | None]:
        """Wait for at least one item; return all chunks that are there, and what ends them."""
        chunks: list[Chunk] = []
        item = await self._arrived.get()
        while not isinstance(item, (UpdateCommit, MmarRunnerError)):
            chunks.append(item)
            if self._arrived.empty():
                return chunks, None
            item = self._arrived.get_nowait()
        return chunks, item

    async def _write(self, chunks: list[Chunk]) -> None:
        await self._disk.run(self._file.write_many, chunks)

    async def _give_credits(self, written: int) -> None:
        self._outstanding -= written
        credits_ = max(0, self._window.share - self._outstanding)
        self._outstanding += credits_
        self._credits += credits_
        # Even without further credits: by what has arrived the sender knows its line.
        await self._stream.write(UpdateCredit(credits=credits_, offset=self._file.offset))

    async def _read_all(self) -> None:
        loop = asyncio.get_running_loop()
        deadline, missing = loop.time() + _CHUNK_SECONDS, _LEAST_BYTES
        try:
            while not isinstance(item := await _read(self._stream, deadline), UpdateCommit):
                self._take_credit()
                self._arrived.put_nowait(_checked(item))
                missing -= len(item)
                if missing <= 0:
                    deadline, missing = loop.time() + _CHUNK_SECONDS, _LEAST_BYTES
            self._arrived.put_nowait(item)
        except MmarRunnerError as error:
            self._arrived.put_nowait(error)

    def _take_credit(self) -> None:
        if self._credits <= 0:
            msg = "a chunk was sent without credit for it"
            raise ProtocolError(msg)
        self._credits -= 1


def _checked(item: Any) -> Chunk:
    if not isinstance(item, (bytes, memoryview)) or not 0 < len(item) <= CHUNK_BYTES:
        msg = f"an update consists of chunks of 1 to {CHUNK_BYTES} bytes and a Commit"
        raise ProtocolError(msg)
    return item


async def _read(stream: UpdateStream, deadline: float) -> Any:
    try:
        async with asyncio.timeout_at(deadline):
            item = await stream.read()
    except TimeoutError:
        msg = f"of the update came less than {_LEAST_BYTES} bytes in {_CHUNK_SECONDS:g} s"
        raise RefusedError(msg, reason="TOO_SLOW", hint="send it again; it goes on") from None
    if item is None:
        msg = "the update ended before its Commit"
        raise ProtocolError(msg)
    return item
