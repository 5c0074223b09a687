# SPDX-License-Identifier: Apache-2.0
"""Where a package's entries go: a folder of its own that appears whole or not at all.

Bytes are counted as they are written, because what a package declares is only a claim.
Permissions and owners of a package are not taken over.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import PackageError, StorageError
from mmar_runner.security.listing import HashedFile
from mmar_runner.security.packages.names import MAX_DEPTH, Names, shown
from mmar_runner.storage.atomic import translated, write_all
from mmar_runner.storage.write_out import WriteOut

if TYPE_CHECKING:
    from mmar_runner.storage.hashing_thread import HashingThread

#: Bytes that are read or written at once.
BLOCK_BYTES: Final = 1 << 20
_FILE_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL_BITS: Final = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


@dataclass(frozen=True, slots=True)
class PackageLimits:
    """What a package may cost.

    Attributes:
        package_bytes: Size of the package itself.
        total_bytes: Size of all its files, as they are on disk.
        file_bytes: Size of any one file.
        entries: Number of files and folders.
        depth: Parts of a name.
    """

    package_bytes: int = 64 << 30
    total_bytes: int = 64 << 30
    file_bytes: int = 64 << 30
    entries: int = 20_000
    depth: int = MAX_DEPTH


class Sink:
    """Takes entries, in any order, and writes them below one folder.

    Args:
        root: An empty folder that nobody else writes to.
        limits: What may be written.
        hashing: Hashes what is written; None if nobody asks for it.
        durable: Whether the folder will be synced, so that the disk may begin at once.

    Attributes:
        hashed: What every file holds, by name, if that is asked for.
    """

    def __init__(
        self,
        root: Path,
        limits: PackageLimits,
        *,
        hashing: HashingThread | None = None,
        durable: bool = False,
    ) -> None:
        self.hashed: dict[str, HashedFile] = {}
        self._root = root
        self._limits = limits
        self._hashing = hashing
        self._durable = durable
        self._names = Names(depth=limits.depth)
        self._entries = 0
        self._total = 0

    def count(self) -> None:
        """Count one more entry, of whatever kind.

        Raises:
            PackageError: TOO_LARGE.
        """
        self._entries += 1
        if self._entries > self._limits.entries:
            raise too_large(f"more than {self._limits.entries} entries")

    def folder(self, name: str) -> None:
        """Make a folder.

        Raises:
            PackageError: UNSAFE_PATH.
            StorageError: It cannot be made.
        """
        self._names.folder(name)
        with translated(name):
            (self._root / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def file(self, name: str, blocks: Iterable[bytes | memoryview]) -> None:
        """Write a file.

        Raises:
            PackageError: UNSAFE_PATH or TOO_LARGE.
            StorageError: It cannot be written.
        """
        self._names.file(name)
        path = self._root / name
        with translated(name):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, _FILE_FLAGS, 0o600)
        try:
            self._write(descriptor, name, self._counted(name, blocks))
        finally:
            os.close(descriptor)

    def _write(self, descriptor: int, name: str, blocks: Iterator[bytes | memoryview]) -> None:
        offset, digest, write_out = 0, sha256(), WriteOut(wanted=self._durable)
        for block in blocks:
            if self._hashing is not None:
                self._hashing.update(digest, block)
            with translated(name):  # not the reading: what fails there is the package
                write_all(descriptor, block, offset)
            offset += len(block)
            write_out.wrote(descriptor, offset)
        if self._hashing is not None:
            self._hashing.settle()
            self.hashed[name] = HashedFile(offset, digest.hexdigest())

    def _counted(
        self, name: str, blocks: Iterable[bytes | memoryview]
    ) -> Iterator[bytes | memoryview]:
        size = 0
        for block in blocks:
            size += len(block)
            self._total += len(block)
            if size > self._limits.file_bytes:
                raise too_large(f"{shown(name)} of more than {self._limits.file_bytes} bytes")
            if self._total > self._limits.total_bytes:
                raise too_large(f"more than {self._limits.total_bytes} bytes")
            yield block


@contextmanager
def whole_folder(destination: Path) -> Iterator[Path]:
    """Give a folder to fill; it gets its real name only if nothing goes wrong.

    Raises:
        StorageError: The destination is there already, or its parent cannot be written.
    """
    with translated(destination):
        if os.path.lexists(destination):
            msg = f"{destination} is there already"
            raise StorageError(msg)
        prefix = f".{destination.name}."
        temporary = Path(tempfile.mkdtemp(prefix=prefix, suffix=".tmp", dir=destination.parent))
    try:
        yield temporary
        with translated(destination):
            temporary.rename(destination)
    except BaseException:
        shutil.rmtree(temporary)
        raise


def require_plain(name: str, mode: int) -> None:
    """Refuse what is neither a plain file nor a folder by its Unix mode; 0 says nothing.

    Raises:
        PackageError: UNSAFE_ENTRY.
    """
    kind = stat.S_IFMT(mode)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise unsafe_entry(name, "a link, a pipe, a socket or a device")
    if mode & _SPECIAL_BITS:
        raise unsafe_entry(name, "an entry that would run with the rights of its owner")


def unsafe_entry(name: str, what: str) -> PackageError:
    """Return the error for an entry that is neither a plain file nor a folder."""
    hint = "nothing was unpacked; a package holds plain files only"
    return PackageError(f"{shown(name)} is {what}", hint=hint, reason="UNSAFE_ENTRY")


def too_large(what: str) -> PackageError:
    """Return the error for a package that costs too much."""
    hint = "nothing was unpacked; leave data and results out of the MMAR"
    return PackageError(f"the package holds {what}", hint=hint, reason="TOO_LARGE")


def damaged(what: str) -> PackageError:
    """Return the error for bytes that are no sound package."""
    hint = "nothing was unpacked; fetch or pack it anew"
    return PackageError(f"the package is damaged: {what}", hint=hint, reason="FORMAT")
