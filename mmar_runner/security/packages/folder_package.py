# SPDX-License-Identifier: Apache-2.0
"""A folder as a package that is not written down: hashed once, and read as it is sent.

What a package holds beside the files' own bytes is short, so that is kept; the files are read
where they lie. A file that has changed since it was hashed is not sent: the package would be
another one than was announced.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZIP_STORED, ZipFile

from mmar_runner.errors import StorageError
from mmar_runner.security.packages.packing import DEFAULT_LIMITS, OPEN_FLAGS, put_files
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.hashing_thread import HashingThread

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from mmar_runner.security.packages.packing import PackageLimits


@dataclass(frozen=True, slots=True)
class _Source:
    """A file whose bytes the package holds, and what it was when they were hashed."""

    path: Path
    state: tuple[int, ...]

    def require_same(self, descriptor: int) -> None:
        """Refuse a file that is another one now."""
        if _state(os.fstat(descriptor)) != self.state:
            raise self.changed()

    def changed(self) -> StorageError:
        """Return the error for a file that is another one now."""
        msg = f"{self.path} has changed since it was looked at"
        return StorageError(msg, hint="call it again once nobody writes there")


@dataclass(frozen=True, slots=True)
class _Part:
    """Bytes of the package that lie in one place: here, or in a file from its beginning."""

    start: int
    size: int
    source: bytes | _Source


@dataclass(frozen=True, slots=True)
class FolderPackage:
    """A folder that was looked at as a package.

    Attributes:
        sha256: Of the package's bytes, hex.
        size: Of the package, in bytes.
        parts: What it consists of, in order.
    """

    sha256: str
    size: int
    parts: tuple[_Part, ...]

    def open(self, offset: int = 0) -> PackageReader:
        """Return a reader of the package's bytes from there on; close it."""
        return PackageReader(self, offset)


def packed_in_place(folder: Path, limits: PackageLimits = DEFAULT_LIMITS) -> FolderPackage:
    """Look at a folder as a package, reading every file once.

    The package is no other one than `pack` makes, but that sizes and sums follow each file.

    Args:
        folder: What is packed, hidden files included; empty folders are left out.
        limits: What may be packed.

    Raises:
        PackageError: UNSAFE_PATH, UNSAFE_ENTRY or TOO_LARGE: it could not be unpacked.
        StorageError: Something cannot be read.
    """
    with HashingThread() as hashing:
        outline = _Outline(hashing)
        # It cannot seek, so nothing is changed that was hashed already.
        with translated(folder), ZipFile(outline, "w", ZIP_STORED) as archive:
            put_files(folder, archive, limits, content=outline.content)
        return outline.finish()


class _Outline:
    """Takes a package's bytes, hashes them, and keeps those that lie in no file."""

    def __init__(self, hashing: HashingThread) -> None:
        self._hashing = hashing
        self._digest = sha256()
        self._size = 0
        self._parts: list[_Part] = []
        self._kept = bytearray()
        self._in_file = False

    def write(self, data: bytes) -> int:
        """Take the next bytes."""
        self._hashing.update(self._digest, data)
        self._size += len(data)
        if not self._in_file:
            self._kept += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: there is nothing behind this."""

    def close(self) -> None:
        """Do nothing, likewise."""

    @contextmanager
    def content(self, path: Path, found: os.stat_result) -> Iterator[None]:
        """Know that what is written meanwhile are a file's bytes."""
        self._end_kept()
        start, self._in_file = self._size, True
        yield
        self._in_file = False
        if self._size > start:
            source = _Source(path, _state(found))
            self._parts.append(_Part(start, self._size - start, source))

    def finish(self) -> FolderPackage:
        """Return the package."""
        self._end_kept()
        self._hashing.settle()
        return FolderPackage(self._digest.hexdigest(), self._size, tuple(self._parts))

    def _end_kept(self) -> None:
        if self._kept:
            start = self._size - len(self._kept)
            self._parts.append(_Part(start, len(self._kept), bytes(self._kept)))
            self._kept.clear()


class PackageReader:
    """Reads a package's bytes in order, as a context. Blocks; one thread at a time."""

    def __init__(self, package: FolderPackage, offset: int) -> None:
        self._parts = package.parts
        self._at = offset
        self._next = max(0, bisect_right([part.start for part in self._parts], offset) - 1)
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._close()

    def read(self, size: int) -> bytes:
        """Return the next bytes: as many as asked for, or those that are left.

        Raises:
            StorageError: A file cannot be read, or is not what it was.
        """
        pieces: list[bytes] = []
        while size and self._next < len(self._parts):
            pieces.append(self._piece(self._parts[self._next], size))
            size -= len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _piece(self, part: _Part, size: int) -> bytes:
        """Return at least one byte of a part, and go on behind them."""
        offset = self._at - part.start
        most = min(size, part.size - offset)
        if isinstance(part.source, bytes):
            piece = part.source[offset : offset + most]
        else:
            piece = self._file_piece(part.source, offset, most)
        self._at += len(piece)
        if self._at == part.start + part.size:
            self._close()
            self._next += 1
        return piece

    def _file_piece(self, source: _Source, offset: int, size: int) -> bytes:
        with translated(source.path):
            if self._descriptor < 0:
                self._descriptor = os.open(source.path, OPEN_FLAGS)
            piece = os.pread(self._descriptor, size, offset)
            # Behind it, for somebody may have written meanwhile; nothing at all is a change too.
            source.require_same(self._descriptor)
        if not piece:
            raise source.changed()
        return piece

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _state(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
