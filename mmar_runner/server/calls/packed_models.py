# SPDX-License-Identifier: Apache-2.0
"""Models compressed on their way: every chunk once, for all clients that take it.

Clients of a round fetch the same bytes at about the same time. What was compressed is kept for
those that come next, newest first, up to a number of bytes: however large a model is and
however many clients there are, memory does not grow with them.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TypeAlias

from mmar_runner.errors import StorageError
from mmar_runner.server.calls.file_chunks import Stride
from mmar_runner.storage.atomic import translated
from mmar_runner.wire.packing import Packed, Raw, on_wire, pack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from mmar_runner.server.calls.windows import SharedWindow
    from mmar_runner.server.records.model_file import ModelFile
    from mmar_runner.wire.messages import ModelHeader

#: Bytes of compressed chunks that are kept at hand.
KEPT_BYTES: Final = 32 << 20

_Key: TypeAlias = tuple[str, int, int]


class PackedModels:
    """Gives the chunks of models, compressed. Used from the event loop.

    Args:
        kept_bytes: How many bytes of chunks are kept.

    Attributes:
        packed: How many chunks were read and compressed.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._most = kept_bytes
        self._kept: OrderedDict[_Key, Raw | Packed] = OrderedDict()
        self._bytes = 0
        self._under_way: dict[_Key, asyncio.Task[Raw | Packed]] = {}
        self._inline: tuple[str, Raw | Packed] = ("", b"")
        self.packed = 0

    def put_inline(self, model: ModelFile, header: ModelHeader) -> None:
        """Put the bytes of a small model into the header that announces it."""
        if self._inline[0] != model.sha256:
            self._inline = (model.sha256, pack(model.inline or b""))
        item = self._inline[1]
        header.packed = isinstance(item, Packed)
        header.inline = item.data if isinstance(item, Packed) else bytes(item)

    async def chunks(
        self, model: ModelFile, window: SharedWindow, *, offset: int = 0
    ) -> AsyncIterator[Raw | Packed]:
        """Yield a file's bytes in chunks as large as line and share of the memory allow.

        A chunk ends at a multiple of its size, which is a power of two: clients whose lines
        are alike take the same chunks, wherever they began.

        Args:
            model: The file.
            window: The memory that is shared; the caller is counted among its users.
            offset: Where to begin.

        Raises:
            StorageError: The file cannot be read, or became shorter.
        """
        stride = Stride(time.monotonic())
        while offset < model.size:
            due = 1 << (stride.chunk_bytes(window.share).bit_length() - 1)
            size = min(due - offset % due, model.size - offset)
            item = await self._item(model, (model.sha256, offset, size))
            yield item
            stride.taken(on_wire(item), time.monotonic())
            offset += size

    async def _item(self, model: ModelFile, key: _Key) -> Raw | Packed:
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
        task = self._under_way.get(key)
        if task is None:
            work = asyncio.to_thread(_packed, model.path, key[1], key[2])
            task = self._under_way[key] = asyncio.create_task(work)
            task.add_done_callback(lambda done: self._keep(key, done))
        # Whoever leaves does not take it from the others that wait for it.
        return await asyncio.shield(task)

    def _keep(self, key: _Key, done: asyncio.Task[Raw | Packed]) -> None:
        del self._under_way[key]
        if done.cancelled() or done.exception() is not None:
            return  # whoever waits for it is told
        self.packed += 1
        self._kept[key] = item = done.result()
        self._bytes += on_wire(item)
        while self._bytes > self._most:
            self._bytes -= on_wire(self._kept.popitem(last=False)[1])


def _packed(path: Path, offset: int, size: int) -> Raw | Packed:
    """Read a part of a file and compress it, in a worker thread."""
    with translated(path), path.open("rb", buffering=0) as file:
        data = os.pread(file.fileno(), size, offset)
    if len(data) < size:
        raise StorageError(f"{path} became shorter while it was sent")
    return pack(data)
