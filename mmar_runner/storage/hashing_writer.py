# SPDX-License-Identifier: Apache-2.0
"""Writes a file in order and hashes it on the way, in a thread of its own.

Hashing takes longer than writing; in its own thread it overlaps with the arithmetic
that makes the next block, since hashing and writing release the interpreter's lock.
The memory in between is a fixed ring of buffers. A small file needs no thread.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from mmar_runner.storage.atomic import storage_error, translated, write_all
from mmar_runner.storage.write_out import WriteOut

if TYPE_CHECKING:
    from mmar_runner.errors import StorageError

_BUFFER_BYTES = 1024 * 1024
_BUFFERS = 4
# A link that somebody puts there meanwhile is not followed.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class HashingWriter:
    """Appends bytes to a new file.

    Args:
        path: The file; one that is there is written over.
        total_bytes: How long the file will be.
        recycle: An old file whose storage is used, if it exists.
        durable: Whether `finish` is to return only once the bytes are on the disk.

    Raises:
        StorageError: The file cannot be created.
    """

    def __init__(
        self, path: Path, *, total_bytes: int, recycle: Path | None = None, durable: bool = False
    ) -> None:
        self._path = path
        self._durable = durable
        self._write_out = WriteOut(wanted=durable)
        self._digest = hashlib.sha256()
        self._offset = 0
        with translated(path):
            path.unlink(missing_ok=True)
            if recycle is not None and recycle.is_file():
                recycle.replace(path)
            self._descriptor = os.open(path, _NEW, 0o644)
        self._error: StorageError | None = None
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        self._full: queue.SimpleQueue[tuple[memoryview, int] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        if total_bytes > _BUFFER_BYTES:
            self._start()

    def write(self, data: memoryview) -> None:
        """Append bytes; the memory may be reused when this returns.

        Raises:
            DiskFullError: No space is left (perhaps noticed at an earlier portion).
            StorageError: The bytes cannot be written.
        """
        if self._thread is None:
            self._store(data)
        else:
            for start in range(0, len(data), _BUFFER_BYTES):
                portion = data[start : start + _BUFFER_BYTES]
                buffer = self._free.get()
                buffer[: len(portion)] = portion
                self._full.put((buffer, len(portion)))
        self._raise_error()

    def finish(self) -> str:
        """Write out what is left, close the file and return its sha256 (hex).

        Raises:
            DiskFullError: No space is left.
            StorageError: The bytes cannot be written.
        """
        self._join()
        self._raise_error()
        with translated(self._path):
            os.ftruncate(self._descriptor, self._offset)  # a recycled file may be longer
            if self._durable:
                os.fsync(self._descriptor)
        self._close()
        return self._digest.hexdigest()

    def abandon(self) -> None:
        """Close and remove the file."""
        self._join()
        self._close()
        self._path.unlink(missing_ok=True)

    def _start(self) -> None:
        for _ in range(_BUFFERS):
            self._free.put(memoryview(bytearray(_BUFFER_BYTES)))
        self._thread = threading.Thread(target=self._run, name="hashing-writer", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (item := self._full.get()) is not None:
            buffer, length = item
            if self._error is None:
                self._store(buffer[:length])
            self._free.put(buffer)

    def _store(self, data: memoryview) -> None:
        try:
            write_all(self._descriptor, data, self._offset)
        except OSError as error:
            self._error = storage_error(error, self._path)
            return
        self._offset += len(data)
        self._write_out.wrote(self._descriptor, self._offset)
        self._digest.update(data)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _join(self) -> None:
        if self._thread is not None:
            self._full.put(None)
            self._thread.join()
            self._thread = None

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
