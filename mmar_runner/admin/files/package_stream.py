# SPDX-License-Identifier: Apache-2.0
"""Takes the chunks of one package: what has arrived is written while more arrives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import MmarRunnerError, ProtocolError, RefusedError
from mmar_runner.waiting.races import end
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.limits import CHUNK_BYTES
from mmar_runner.wire.messages import UploadBegin, UploadCommit, UploadCredit, UploadReady

if TYPE_CHECKING:
    from mmar_runner.admin.files.incoming import IncomingPackage
    from mmar_runner.server.calls.windows import SharedWindow
    from mmar_runner.wire.codec import Chunk
    from mmar_runner.wire.servicer import UploadStream

#: Seconds in which a console must send at least so many bytes, or the rest of its package.
CHUNK_SECONDS: Final = 60.0
_LEAST_BYTES: Final = 64 << 10


class PackageReceiver:
    """Receives one package. Whoever sends without credit is refused.

    Every chunk that was written gives its credit back, so a sender knows what has arrived.

    Args:
        stream: Where the chunks come from and the credits go.
        package: Takes them.
        window: Chunks that all senders together may have under way.
    """

    def __init__(
        self, stream: UploadStream, package: IncomingPackage, window: SharedWindow
    ) -> None:
        self._stream = stream
        self._package = package
        self._window = window
        self._credits = 0
        self._arrived: asyncio.Queue[Chunk | UploadCommit | MmarRunnerError] = asyncio.Queue()

    async def receive(self) -> None:
        """Take chunks until the Commit.

        Raises:
            ProtocolError: Something else came, or a chunk without credit, or too many bytes.
            RefusedError: TOO_SLOW.
            StorageError: The bytes cannot be written.
        """
        with self._window.user():
            self._credits = self._window.share
            ready = UploadReady(offset=self._package.offset, credits=self._credits)
            await self._stream.write(ready)
            reading = asyncio.create_task(self._read_all())
            try:
                await self._write_all()
            finally:
                await end(reading)

    async def _write_all(self) -> None:
        while True:
            chunks, last = await self._next()
            if chunks:
                await in_thread(self._package.write, chunks)
            if isinstance(last, UploadCommit):
                return
            if last is not None:
                raise last
            self._credits += len(chunks)
            await self._stream.write(UploadCredit(credits=len(chunks)))

    async def _next(self) -> tuple[list[Chunk], UploadCommit | MmarRunnerError | None]:
        """Wait for at least one item; return all chunks that are there, and what ends them."""
        chunks: list[Chunk] = []
        item = await self._arrived.get()
        while not isinstance(item, (UploadCommit, MmarRunnerError)):
            chunks.append(item)
            if self._arrived.empty():
                return chunks, None
            item = self._arrived.get_nowait()
        return chunks, item

    async def _read_all(self) -> None:
        loop = asyncio.get_running_loop()
        deadline, missing = loop.time() + CHUNK_SECONDS, _LEAST_BYTES
        try:
            while not isinstance(item := await _read(self._stream, deadline), UploadCommit):
                if self._credits <= 0:
                    msg = "a chunk was sent without credit for it"
                    raise ProtocolError(msg)
                self._credits -= 1
                self._arrived.put_nowait(_checked(item))
                missing -= len(item)
                if missing <= 0:
                    deadline, missing = loop.time() + CHUNK_SECONDS, _LEAST_BYTES
            self._arrived.put_nowait(item)
        except MmarRunnerError as error:
            self._arrived.put_nowait(error)


async def first_part(stream: UploadStream) -> UploadBegin:
    """Return what an upload begins with.

    Raises:
        ProtocolError: It begins with something else.
        RefusedError: TOO_SLOW.
    """
    item = await _read(stream, asyncio.get_running_loop().time() + CHUNK_SECONDS)
    if not isinstance(item, UploadBegin):
        msg = "an upload begins with Begin"
        raise ProtocolError(msg)
    return item


def _checked(item: Any) -> Chunk:
    if not isinstance(item, (bytes, memoryview)) or not 0 < len(item) <= CHUNK_BYTES:
        msg = f"a package consists of chunks of 1 to {CHUNK_BYTES} bytes and a Commit"
        raise ProtocolError(msg)
    return item


async def _read(stream: UploadStream, deadline: float) -> Any:
    try:
        async with asyncio.timeout_at(deadline):
            item = await stream.read()
    except TimeoutError:
        msg = f"of the package came less than {_LEAST_BYTES} bytes in {CHUNK_SECONDS:g} s"
        raise RefusedError(msg, reason="TOO_SLOW", hint="upload it again; it goes on") from None
    if item is None:
        msg = "the upload ended before its Commit"
        raise ProtocolError(msg)
    return item
