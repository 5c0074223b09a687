# SPDX-License-Identifier: Apache-2.0
"""A folder becomes a package: always a zip file, and the same files give the same one.

What could not be unpacked (`mmar_runner.security.packages.unpacking`) is not packed either.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from mmar_runner.security.packages.names import Names
from mmar_runner.security.packages.sink import (
    BLOCK_BYTES,
    PackageLimits,
    too_large,
    unsafe_entry,
)
from mmar_runner.security.packages.unpacking import DEFAULT_LIMITS, unpack
from mmar_runner.storage.atomic import publish, translated

__all__ = [
    "DEFAULT_LIMITS",
    "OPEN_FLAGS",
    "PackageLimits",
    "PackedFile",
    "pack",
    "put_files",
    "unpack",
]

#: Every entry is as old as the format, so that the same files give the same package.
_TIME: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = (stat.S_IFREG | 0o644) << 16
_UNIX: Final = 3
#: For a file of a folder that somebody else wrote.
OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def _unnoticed(_path: Path, _found: os.stat_result) -> AbstractContextManager[None]:
    return nullcontext()


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
    inside: str = "",
) -> PackedFile:
    """Write every file of a folder into a zip file; the same files give the same bytes.

    Args:
        folder: What is packed, hidden files included; empty folders are left out.
        destination: The package; it appears once it is complete.
        limits: What may be packed.
        leave_out: Says of a file's or a folder's name below the folder that it is left out.
        inside: The folder of the package that everything is in; empty for none.

    Raises:
        PackageError: UNSAFE_PATH, UNSAFE_ENTRY or TOO_LARGE: it could not be unpacked.
        StorageError: Something cannot be read or written.
    """
    temporary = destination.with_name(f".{destination.name}.tmp")
    with translated(temporary):
        temporary.unlink(missing_ok=True)  # of a process that was killed, or a trap
    try:
        with translated(folder), ZipFile(temporary, "x", ZIP_STORED) as archive:
            put_files(folder, archive, limits, leave_out=leave_out, inside=inside)
        with translated(temporary), temporary.open("rb") as file:
            packed = PackedFile(destination, file_digest(file, "sha256").hexdigest(), file.tell())
        publish(temporary, destination, durable=False)
    finally:
        temporary.unlink(missing_ok=True)
    return packed


def put_files(
    folder: Path,
    archive: ZipFile,
    limits: PackageLimits = DEFAULT_LIMITS,
    *,
    leave_out: Callable[[str], bool] = lambda _: False,
    inside: str = "",
    content: Callable[[Path, os.stat_result], AbstractContextManager[None]] = _unnoticed,
) -> None:
    """Put every file of a folder into an archive, always in the same way.

    Args:
        folder: What is packed.
        archive: Gets the files.
        limits: What may be packed.
        leave_out: As for `pack`.
        inside: As for `pack`.
        content: Is entered while a file's own bytes are written, and nothing else: gets where
            it lies and what was known of it when it was opened.

    Raises:
        PackageError: As `pack`.
        OSError: Something cannot be read or written.
    """
    names = Names(depth=limits.depth)
    for name in sorted(_files(folder, limits, leave_out)):
        names.file(name)
        _add(archive, folder / name, f"{inside}/{name}" if inside else name, content)


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


def _add(
    archive: ZipFile,
    file: Path,
    name: str,
    content: Callable[[Path, os.stat_result], AbstractContextManager[None]],
) -> None:
    descriptor = os.open(file, OPEN_FLAGS)
    with os.fdopen(descriptor, "rb") as source:
        found = os.fstat(descriptor)
        info = ZipInfo(name, _TIME)
        info.create_system = _UNIX
        info.external_attr = _MODE
        info.file_size = found.st_size
        with (
            archive.open(info, "w", force_zip64=info.file_size >= 1 << 31) as target,
            content(file, found),
        ):
            while block := source.read(BLOCK_BYTES):
                target.write(block)
