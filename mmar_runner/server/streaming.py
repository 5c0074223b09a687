# SPDX-License-Identifier: Apache-2.0
"""Takes the chunks of one large update: written, hashed and checked off the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import ProtocolError, RefusedError
from mmar_runner.wire.limits import CHUNK_BYTES, UPLOAD_WINDOW_CHUNKS
from mmar_runner.wire.messages import UpdateCommit, UpdateCredit, UpdateReady

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from mmar_runner.storage.spool_file import SpoolFile
    from mmar_runner.wire.codec import Chunk
    from mmar_runner.wire.server import UpdateStream

#: Chunks that one worker call writes.
_BATCH_CHUNKS: Final = UPLOAD_WINDOW_CHUNKS // 2
#: Seconds in which a sender must send at least one chunk.
_CHUNK_SECONDS: Final = 60.0


class ChunkReceiver:
    """Receives one update; one batch is written while the next arrives.

    What is outstanding is always less than the window, so a sender without credits is
    never waited for.

    Args:
        stream: Where the chunks come from and the credits go.
        file: Where they are written.
        disk: Threads that may wait for the disk.
        progress: Called for every batch.
    """

    def __init__(
        self, stream: UpdateStream, file: SpoolFile, disk: Executor, progress: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._file = file
        self._disk = disk
        self._progress = progress
        self._batch: list[Chunk] = []
        self._writing: asyncio.Future[int] | None = None

    async def receive(self) -> str:
        """Take chunks until the Commit and return the sha256 that it names.

        Raises:
            ProtocolError: Something else than chunks and a Commit came.
            RefusedError: TOO_SLOW.
            StorageError: The bytes are not usable, or cannot be written.
        """
        ready = UpdateReady(offset=self._file.offset, credits=UPLOAD_WINDOW_CHUNKS)
        await self._stream.write(ready)
        try:
            while not isinstance(item := await _read(self._stream), UpdateCommit):
                await self._take(_checked(item))
            await self._written()
            self._write()
            await self._written()
        finally:
            # Whatever happened: the file is closed next, so nobody may be writing to it.
            if self._writing is not None:
                await asyncio.wait({self._writing})
        return item.sha256

    async def _take(self, chunk: Chunk) -> None:
        self._batch.append(chunk)
        writing = self._writing
        if writing is None or writing.done() or len(self._batch) >= _BATCH_CHUNKS:
            if count := await self._written():
                await self._stream.write(UpdateCredit(credits=count))
            self._progress()
            self._write()

    def _write(self) -> None:
        batch, self._batch = self._batch, []
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(self._disk, _write_batch, self._file, batch)

    async def _written(self) -> int:
        """Wait for the batch that is being written; return its number of chunks."""
        if self._writing is None:
            return 0
        count = await asyncio.shield(self._writing)
        self._writing = None
        return count


def _checked(item: Any) -> Chunk:
    if not isinstance(item, (bytes, memoryview)) or not 0 < len(item) <= CHUNK_BYTES:
        msg = f"an update consists of chunks of 1 to {CHUNK_BYTES} bytes and a Commit"
        raise ProtocolError(msg)
    return item


async def _read(stream: UpdateStream) -> Any:
    try:
        async with asyncio.timeout(_CHUNK_SECONDS):
            item = await stream.read()
    except TimeoutError:
        msg = f"nothing of the update came in {_CHUNK_SECONDS:g} s"
        raise RefusedError(msg, reason="TOO_SLOW", hint="send it again; it goes on") from None
    if item is None:
        msg = "the update ended before its Commit"
        raise ProtocolError(msg)
    return item


def _write_batch(file: SpoolFile, batch: list[Chunk]) -> int:
    file.write_many(batch)
    return len(batch)
