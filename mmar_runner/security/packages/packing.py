# SPDX-License-Identifier: Apache-2.0
"""Packages: a folder as one file, and back, if nothing in it is unsafe.

What is packed here is always a zip file. Zip, tar and gzipped tar are unpacked, by
what they are and not by what they are called. A package that holds anything unsafe is
refused as a whole: names are never mended, nothing is written outside the destination,
and nothing is left of it.
"""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO, Final, cast
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from mmar_runner.security.packages.names import Names
from mmar_runner.security.packages.sink import (
    BLOCK_BYTES,
    PackageLimits,
    Sink,
    damaged,
    too_large,
    unsafe_entry,
    whole_folder,
)
from mmar_runner.security.packages.tar import unpack_tar
from mmar_runner.security.packages.zip import unpack_zip
from mmar_runner.storage.atomic import publish, translated

__all__ = ["DEFAULT_LIMITS", "PackageLimits", "PackedFile", "pack", "unpack"]

DEFAULT_LIMITS: Final = PackageLimits()
#: Every entry is as old as the format, so that the same files give the same package.
_TIME: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = (stat.S_IFREG | 0o644) << 16
_UNIX: Final = 3
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A finished package.

    Attributes:
        path: The file.
        sha256: Of its bytes, hex.
        size: In bytes.
    """

    path: Path
    sha256: str
    size: int


def pack(
    folder: Path,
    destination: Path,
    limits: PackageLimits = DEFAULT_LIMITS,
    *,
    leave_out: Callable[[str], bool] = lambda _: False,
) -> PackedFile:
    """Write every file of a folder into a zip file; the same files give the same bytes.

    Args:
        folder: What is packed, hidden files included; empty folders are left out.
        destination: The package; it appears once it is complete.
        limits: What may be packed.
        leave_out: Says of a file's or a folder's name below the folder that it is left out.

    Raises:
        PackageError: UNSAFE_PATH, UNSAFE_ENTRY or TOO_LARGE: it could not be unpacked.
        StorageError: Something cannot be read or written.
    """
    temporary = destination.with_name(f".{destination.name}.tmp")
    with translated(temporary):
        temporary.unlink(missing_ok=True)  # of a process that was killed, or a trap
    try:
        with translated(folder), ZipFile(temporary, "x", ZIP_STORED) as archive:
            _pack(folder, archive, limits, leave_out)
        with translated(temporary), temporary.open("rb") as file:
            packed = PackedFile(destination, file_digest(file, "sha256").hexdigest(), file.tell())
        publish(temporary, destination, durable=False)
    finally:
        temporary.unlink(missing_ok=True)
    return packed


def _pack(
    folder: Path, archive: ZipFile, limits: PackageLimits, leave_out: Callable[[str], bool]
) -> None:
    names = Names(depth=limits.depth)
    for name in sorted(_files(folder, limits, leave_out)):
        names.file(name)
        _add(archive, folder, name)


def unpack(archive: Path, destination: Path, limits: PackageLimits = DEFAULT_LIMITS) -> None:
    """Unpack a package into a folder that is not there yet.

    Args:
        archive: A zip, tar or gzipped tar file.
        destination: The folder; it appears once it is complete.
        limits: What it may cost.

    Raises:
        PackageError: UNSAFE_PATH, UNSAFE_ENTRY, TOO_LARGE or FORMAT; nothing remains.
        StorageError: The package cannot be read, or the folder cannot be written.
    """
    with ExitStack() as stack:
        stack.enter_context(translated(archive))
        stream = stack.enter_context(archive.open("rb"))
        size = os.fstat(stream.fileno()).st_size
        if size > limits.package_bytes:
            raise too_large(f"{size} bytes")
        sink = Sink(stack.enter_context(whole_folder(destination)), limits)
        _unpack(stream, size, sink, limits)


def _unpack(stream: BinaryIO, size: int, sink: Sink, limits: PackageLimits) -> None:
    magic = stream.read(4)
    stream.seek(0)
    if magic in {b"PK\3\4", b"PK\5\6"}:
        unpack_zip(stream, size, sink, entries=limits.entries)
    elif magic.startswith(b"\x1f\x8b"):
        with _gunzipped(stream) as tar:
            unpack_tar(tar, sink)
    else:
        unpack_tar(stream, sink)


@contextmanager
def _gunzipped(stream: BinaryIO) -> Iterator[BinaryIO]:
    try:
        with gzip.GzipFile(fileobj=stream) as tar:
            yield cast("BinaryIO", tar)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise damaged("its compressed bytes are not sound") from error


def _files(folder: Path, limits: PackageLimits, leave_out: Callable[[str], bool]) -> Iterator[str]:
    """Yield the names of all files below a folder, nothing else being there."""
    count = 0
    for parent, folders, files in os.walk(folder, onerror=_raise):
        prefix = Path(parent).relative_to(folder)
        for names in (folders, files):
            names[:] = [name for name in names if not leave_out((prefix / name).as_posix())]
        for name in (*folders, *files):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise unsafe_entry(str(path), "a link, a pipe, a socket or a device")
        count += len(files)  # of folders nothing is packed but the names of their files
        if count > limits.entries:
            raise too_large(f"more than {limits.entries} entries")
        yield from ((prefix / name).as_posix() for name in files)


def _raise(error: OSError) -> None:
    raise error


def _add(archive: ZipFile, folder: Path, name: str) -> None:
    descriptor = os.open(folder / name, _OPEN_FLAGS)
    with os.fdopen(descriptor, "rb") as source:
        info = ZipInfo(name, _TIME)
        info.create_system = _UNIX
        info.external_attr = _MODE
        info.file_size = os.fstat(descriptor).st_size
        with archive.open(info, "w", force_zip64=info.file_size >= 1 << 31) as target:
            while block := source.read(BLOCK_BYTES):
                target.write(block)
