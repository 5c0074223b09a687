# SPDX-License-Identifier: Apache-2.0
"""A finished update on its way out of a file. Called from worker threads, one at a time."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, Self

from mmar_runner.errors import StorageError
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.plain_files import open_plain
from mmar_runner.wire.limits import CHUNK_BYTES

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class OutgoingUpdate:
    """Reads an update in order and hashes it on the way.

    Args:
        path: The file.
        total_bytes: Its size, as it was when the update was finished.

    Raises:
        StorageError: The file cannot be opened, or is no plain file.
    """

    def __init__(self, path: Path, total_bytes: int) -> None:
        self._path = path
        self._total = total_bytes
        self._hash = sha256()
        self.offset = 0
        self._descriptor = open_plain(path, links=False)  # a trainer or a filter wrote it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def read(self, count: int) -> list[bytes]:
        """Return the next chunks, at most ``count``; none at the end.

        Raises:
            StorageError: The file cannot be read, or is shorter than it was.
        """
        chunks: list[bytes] = []
        while self.offset < self._total and len(chunks) < count:
            chunks.append(self._next(self._total))
        return chunks

    def skip(self, offset: int) -> None:
        """Hash the bytes up to ``offset``, which the server holds already.

        Raises:
            StorageError: As `read`.
        """
        while self.offset < offset:
            self._next(offset)

    def _next(self, end: int) -> bytes:
        with translated(self._path):
            chunk = os.pread(self._descriptor, min(CHUNK_BYTES, end - self.offset), self.offset)
        if not chunk:
            msg = f"{self._path} is shorter than the {self._total} bytes it had"
            raise StorageError(msg)
        self._hash.update(chunk)
        self.offset += len(chunk)
        return chunk

    def sha256(self) -> str:
        """Return the digest of what was read so far, hex."""
        return self._hash.hexdigest()
