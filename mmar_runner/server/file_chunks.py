# SPDX-License-Identifier: Apache-2.0
"""The bytes of a file as chunks that are framed already, in bounded memory.

A chunk is read on the event loop if the kernel has it in memory (which costs less
than asking another thread), and in a worker thread if the disk must be waited for.
"""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import StorageError
from mmar_runner.wire.codec import FramedBuffer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from mmar_runner.server.windows import SharedWindow

#: Read only what is in memory; else EAGAIN. Not every kernel and file system can.
_NOWAIT: Final = getattr(os, "RWF_NOWAIT", None)


async def file_chunks(
    path: Path, size: int, window: SharedWindow, *, offset: int = 0
) -> AsyncIterator[FramedBuffer | bytes]:
    """Yield a file's bytes in chunks as large as the share of the memory allows.

    Args:
        path: The file.
        size: Its size in bytes.
        window: The memory that is shared; the caller is counted among its users.
        offset: Where to begin.

    Raises:
        StorageError: INTERNAL, the file became shorter.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    buffer = FramedBuffer(window.share)
    try:
        while offset < size:
            if len(buffer.payload) != window.share:
                buffer = FramedBuffer(window.share)
            count = _read_cached(descriptor, buffer, offset)
            if count is None:
                count = await asyncio.to_thread(os.preadv, descriptor, [buffer.payload], offset)
            if not count:
                msg = f"{path} became shorter while it was sent"
                raise StorageError(msg, reason="INTERNAL")
            yield buffer if count == len(buffer.payload) else bytes(buffer.payload[:count])
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
