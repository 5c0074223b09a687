# SPDX-License-Identifier: Apache-2.0
"""Takes the chunks of what is uploaded: written while more arrives, off the event loop."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from mmar_runner.errors import MmarRunnerError, ProtocolError, RefusedError
from mmar_runner.waiting.races import end
from mmar_runner.wire.limits import CHUNK_BYTES
from mmar_runner.wire.messages import UpdateCommit, UpdateCredit, UpdateReady
from mmar_runner.wire.packing import COMPRESSION, Packed, check_packed, on_wire, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.server.calls.windows import SharedWindow
    from mmar_runner.storage.spool_file import SpoolFile
    from mmar_runner.waiting.threads import DiskThreads
    from mmar_runner.wire.codec import Chunk
    from mmar_runner.wire.servicer import PartStream, UpdateStream

#: What says that all chunks were sent.
_Commit = TypeVar("_Commit")

#: Seconds in which a sender must send at least so many bytes, or the rest of its upload:
#: whoever only drips would keep one of the places of those who send.
_CHUNK_SECONDS: Final = 60.0
_LEAST_BYTES: Final = 64 << 10


class PartReceiver(ABC, Generic[_Commit]):
    """Receives one upload: what has arrived is written while more arrives.

    Whoever sends a chunk without credit for it is refused: what arrives waits in memory.

    Args:
        stream: Where the chunks come from and the credits go.
        window: Chunks that all senders together may have under way.

    Attributes:
        commit: The message that follows the last chunk.
        what: What is uploaded, as sentences call it, with its article.
    """

    commit: ClassVar[type[Any]]
    what: ClassVar[str]

    def __init__(self, stream: PartStream[Any, Any], window: SharedWindow) -> None:
        self._stream = stream
        self._window = window
        self._credits = 0
        self._arrived: asyncio.Queue[Any] = asyncio.Queue()

    async def _received(self, ready: Callable[[int], Any]) -> _Commit:
        """Take chunks until the Commit, and return it.

        Args:
            ready: Makes the message that lets the sender begin, from its first credits.
        """
        with self._window.user():
            self._credits = self._window.share
            await self._stream.write(ready(self._credits))
            reading = asyncio.create_task(self._read_all())
            try:
                return await self._write_all()
            finally:
                await end(reading)

    @abstractmethod
    async def _write(self, chunks: list[Any]) -> None:
        """Write chunks, in order, each as `_checked` returned it."""

    @abstractmethod
    async def _written(self, count: int) -> None:
        """Answer for so many chunks that were written, with credits for further ones."""

    async def _write_all(self) -> _Commit:
        while True:
            chunks, last = await self._next()
            if chunks:
                await self._write(chunks)
            if isinstance(last, MmarRunnerError):
                raise last
            if last is not None:
                return last
            await self._written(len(chunks))

    async def _next(self) -> tuple[list[Any], _Commit | MmarRunnerError | None]:
        """Wait for at least one item; return all chunks that are there, and what ends them."""
        chunks: list[Any] = []
        item = await self._arrived.get()
        while not isinstance(item, (self.commit, MmarRunnerError)):
            chunks.append(item)
            if self._arrived.empty():
                return chunks, None
            item = self._arrived.get_nowait()
        return chunks, item

    async def _read_all(self) -> None:
        loop = asyncio.get_running_loop()
        deadline, missing = loop.time() + _CHUNK_SECONDS, _LEAST_BYTES
        try:
            while not isinstance(
                item := await _read(self._stream, deadline, self.what), self.commit
            ):
                self._take_credit()
                self._arrived.put_nowait(self._checked(item))
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

    def _checked(self, item: Any) -> Any:
        if not isinstance(item, (bytes, memoryview)) or not 0 < len(item) <= CHUNK_BYTES:
            msg = f"{self.what} consists of chunks of 1 to {CHUNK_BYTES} bytes and a Commit"
            raise ProtocolError(msg)
        return item


class ChunkReceiver(PartReceiver[UpdateCommit]):
    """Receives one update.

    The sender may have as many chunks under way as its share of the window; credits
    are given back as chunks are written.

    Args:
        stream: Where the chunks come from and the credits go.
        file: Where they are written.
        disk: Threads that may wait for the disk.
        window: Chunks that all senders together may have under way.
        progress: Called for every batch, with the number of bytes that are there.
        packed: Whether chunks may be compressed.

    Attributes:
        wire_bytes: How many bytes the chunks had on their way.
    """

    commit = UpdateCommit
    what = "an update"

    def __init__(
        self,
        stream: UpdateStream,
        file: SpoolFile,
        disk: DiskThreads,
        *,
        window: SharedWindow,
        progress: Callable[[int], None],
        packed: bool = False,
    ) -> None:
        super().__init__(stream, window)
        self.wire_bytes = 0
        self._packed = packed
        self._file = file
        self._disk = disk
        self._progress = progress
        self._outstanding = 0

    async def receive(self) -> str:
        """Take chunks until the Commit and return the sha256 that it names.

        Raises:
            ProtocolError: Something else than chunks and a Commit came, or a chunk without
                credit.
            RefusedError: TOO_SLOW.
            StorageError: The bytes are not usable, or cannot be written.
        """
        return (await self._received(self._ready)).sha256

    def _ready(self, credits_: int) -> UpdateReady:
        self._outstanding = credits_
        return UpdateReady(offset=self._file.offset, credits=credits_)

    async def _write(self, chunks: list[Chunk | Packed]) -> None:
        await self._disk.run(self._file.write_many, map(unpack, chunks) if self._packed else chunks)

    def _checked(self, item: Any) -> Chunk | Packed:
        chunk: Chunk | Packed = item
        if isinstance(item, Packed):
            if not self._packed:
                msg = "a compressed chunk was sent, and no compression is agreed on"
                raise ProtocolError(msg, reason=COMPRESSION)
            check_packed(item)
        else:
            chunk = super()._checked(item)
        self.wire_bytes += on_wire(chunk)
        return chunk

    async def _written(self, count: int) -> None:
        self._progress(self._file.offset)
        self._outstanding -= count
        credits_ = max(0, self._window.share - self._outstanding)
        self._outstanding += credits_
        self._credits += credits_
        # Even without further credits: by what has arrived the sender knows its line.
        await self._stream.write(UpdateCredit(credits=credits_, offset=self._file.offset))


async def first_part(stream: PartStream[Any, Any], what: str) -> Any:
    """Return what an upload begins with.

    Args:
        stream: Where it comes from.
        what: What is uploaded, with its article.

    Raises:
        ProtocolError: It ended before anything came.
        RefusedError: TOO_SLOW.
    """
    return await _read(stream, asyncio.get_running_loop().time() + _CHUNK_SECONDS, what)


async def _read(stream: PartStream[Any, Any], deadline: float, what: str) -> Any:
    try:
        async with asyncio.timeout_at(deadline):
            item = await stream.read()
    except TimeoutError:
        msg = f"of {what} came less than {_LEAST_BYTES} bytes in {_CHUNK_SECONDS:g} s"
        raise RefusedError(msg, reason="TOO_SLOW", hint="send it again; it goes on") from None
    if item is None:
        msg = f"{what} ended before its Commit"
        raise ProtocolError(msg)
    return item
