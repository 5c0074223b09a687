# SPDX-License-Identifier: Apache-2.0
"""The bytes of a file as chunks that are framed already, in bounded memory.

A chunk is read on the event loop if the kernel has it in memory (which costs less
than asking another thread), and in a worker thread if the disk must be waited for.

A receiver sees of a chunk only that all of it is there. So that one on a slow line sees
something every few seconds, chunks are small until the line is known, and then as large as it
carries in a second.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import StorageError
from mmar_runner.storage.atomic import translated
from mmar_runner.wire.codec import FramedBuffer
from mmar_runner.wire.limits import CHUNK_BYTES, LEAST_CHUNK_BYTES, LOOKAHEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from mmar_runner.server.calls.windows import SharedWindow

#: Read only what is in memory; else EAGAIN. Not every kernel and file system can.
_NOWAIT: Final = getattr(os, "RWF_NOWAIT", None)

#: The size of the first chunks, and how long a line should take for one later, in seconds.
FIRST_CHUNK_BYTES: Final = 128 << 10
CHUNK_SECONDS: Final = 1.0


class Stride:
    """How large the chunks of one transfer are. Pure: times are handed in.

    The transport takes what fits into its window at once, and on a slow line then nothing for a
    minute, until the window opens by half. So a line's pace is that of the last whole window.

    Args:
        now: Seconds of a clock that does not run backwards.
    """

    def __init__(self, now: float) -> None:
        self._taken = 0
        self._marks: deque[tuple[int, float]] = deque([(0, now)])
        self._due = FIRST_CHUNK_BYTES

    def chunk_bytes(self, share: int) -> int:
        """Return the size of the next chunk, at most a share of the memory."""
        return min(self._due, share)

    def taken(self, size: int, now: float) -> None:
        """Note that the transport has taken a chunk."""
        self._taken += size
        self._marks.append((self._taken, now))
        if self._taken <= LOOKAHEAD_BYTES:
            return
        while self._marks[1][0] <= self._taken - LOOKAHEAD_BYTES:
            self._marks.popleft()
        count, since = self._taken - self._marks[0][0], now - self._marks[0][1]
        bearable = CHUNK_BYTES if since <= 0 else int(count / since * CHUNK_SECONDS)
        whole = bearable // LEAST_CHUNK_BYTES * LEAST_CHUNK_BYTES
        self._due = min(max(whole, LEAST_CHUNK_BYTES), CHUNK_BYTES)


async def file_chunks(
    path: Path, size: int, window: SharedWindow, *, offset: int = 0
) -> AsyncIterator[FramedBuffer | bytes]:
    """Yield a file's bytes in chunks as large as line and share of the memory allow.

    Args:
        path: The file.
        size: Its size in bytes.
        window: The memory that is shared; the caller is counted among its users.
        offset: Where to begin.

    Raises:
        StorageError: The file cannot be read, or became shorter.
    """
    with translated(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    stride = Stride(time.monotonic())
    buffer = FramedBuffer(stride.chunk_bytes(window.share))
    try:
        while offset < size:
            if len(buffer.payload) != (due := stride.chunk_bytes(window.share)):
                buffer = FramedBuffer(due)
            with translated(path):
                count = _read_cached(descriptor, buffer, offset)
                if count is None:
                    count = await asyncio.to_thread(os.preadv, descriptor, [buffer.payload], offset)
            if not count:
                raise StorageError(f"{path} became shorter while it was sent")
            yield buffer if count == len(buffer.payload) else bytes(buffer.payload[:count])
            stride.taken(count, time.monotonic())
            offset += count
    finally:
        os.close(descriptor)


def _read_cached(descriptor: int, buffer: FramedBuffer, offset: int) -> int | None:
    """Read what is in memory and return how much; None if the disk must be waited for."""
    if _NOWAIT is None:
        return None
    try:
        return os.preadv(descriptor, [buffer.payload], offset, _NOWAIT)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EOPNOTSUPP}:
            return None
        raise
