# SPDX-License-Identifier: Apache-2.0
"""Packages on their way: what has arrived of each, until it is whole and looked at.

A package that broke off stays for a day, so that the next attempt goes on where it was; it
goes earlier if the disk is needed, or if its sender begins too many others.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import DigestError, DiskFullError, ProtocolError, RefusedError
from mmar_runner.security.packages.sink import PackageLimits
from mmar_runner.security.packages.unpacking import DEFAULT_LIMITS, unpack_hashed
from mmar_runner.storage.atomic import translated, write_all
from mmar_runner.storage.hashing_thread import HashingThread

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.security.listing import HashedFile
    from mmar_runner.wire.codec import Chunk

#: How long what an interrupted upload left is kept, in seconds.
KEEP_SECONDS: Final = 24 * 3600.0
#: Packages that one user may have on their way.
PACKAGES_OF_ONE: Final = 4
#: Bytes of the disk that uploads leave to others.
SPARE_BYTES: Final = 64 << 20
#: The package, unpacked, and the copy that a run makes of it.
_COPIES: Final = 3
_BLOCK: Final = 1 << 20
_PART: Final = re.compile(r"[0-9a-f]{64}-[0-9a-f]{16}\.part")


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class IncomingPackage:
    """One package that arrives. Blocks; one thread at a time.

    Args:
        path: Where its bytes lie; what is there already stays.
        digest: What its sha256 is to be, hex.
        total: How many bytes it is to have.
        free: Gives how many bytes of the disk are free.

    Attributes:
        offset: How many of them are here.

    Raises:
        StorageError: The file cannot be opened or read.
    """

    def __init__(
        self, path: Path, digest: str, total: int, free: Callable[[Path], int] = _free
    ) -> None:
        self.path = path
        self.total = total
        self._free = free
        self._digest = digest
        self._hash = sha256()
        self._hashing = HashingThread()
        with translated(path):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(path, flags, 0o600)
            try:
                self.offset = self._hashed(os.fstat(self._descriptor).st_size)
            except BaseException:
                self.close()
                raise

    def write(self, chunks: Iterable[Chunk]) -> None:
        """Take the next bytes.

        Raises:
            ProtocolError: They are more than was announced.
            DiskFullError: Others may have filled the disk meanwhile, with packages of theirs.
            StorageError: They cannot be written.
        """
        for chunk in chunks:
            self._require_spare(len(chunk))
            if self.offset + len(chunk) > self.total:
                msg = f"a package of {self.total} bytes was announced, and more arrived"
                raise ProtocolError(msg)
            with translated(self.path):
                write_all(self._descriptor, memoryview(chunk), self.offset)
            self._hashing.update(self._hash, chunk)
            self.offset += len(chunk)

    def check(self) -> None:
        """Check that everything that was announced is here.

        Raises:
            ProtocolError: Bytes are missing.
            DigestError: They are not those that were announced.
        """
        if self.offset != self.total:
            msg = f"a package of {self.total} bytes was announced, and {self.offset} arrived"
            raise ProtocolError(msg)
        self._hashing.settle()
        if self._hash.hexdigest() != self._digest:
            msg = "the package arrived damaged"
            raise DigestError(msg, hint="nothing of it was kept; upload it again")

    def close(self) -> None:
        """Close the file; what has arrived stays."""
        self._hashing.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Delete what has arrived."""
        self.close()
        with translated(self.path):
            self.path.unlink(missing_ok=True)

    def _require_spare(self, more: int) -> None:
        with translated(self.path):
            free = self._free(self.path.parent)
        if free < more + SPARE_BYTES:
            msg = f"{free} bytes of the server's disk are free, and uploads leave {SPARE_BYTES}"
            hint = "free space at the server, and upload it again: it goes on where it was"
            raise DiskFullError(msg, hint=hint)

    def _hashed(self, size: int) -> int:
        """Hash what is here already; more than was announced is no beginning of it."""
        if size > self.total:
            os.ftruncate(self._descriptor, 0)
            return 0
        at = 0
        while at < size and (block := os.pread(self._descriptor, _BLOCK, at)):
            self._hash.update(block)
            at += len(block)
        return at


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A package that was unpacked into a folder that nobody else writes to.

    Attributes:
        folder: The folder.
        hashed: What each of its files holds, by its name below the folder.
    """

    folder: Path
    hashed: Mapping[str, HashedFile]


class IncomingPackages:
    """The folder of packages on their way. Blocks.

    Args:
        folder: Where they lie; made if it is not there.
        clock: Seconds since 1970.
        free: Gives how many bytes of the disk are free.

    Raises:
        StorageError: The folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float] = time.time,
        free: Callable[[Path], int] = _free,
    ) -> None:
        self.folder = folder
        self._clock = clock
        self._free = free
        self._open: set[Path] = set()
        with translated(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def begin(self, digest: str, user: str, total: int) -> IncomingPackage:
        """Return a package that arrives, with what is here of it from an earlier attempt.

        Args:
            digest: Its sha256, hex.
            user: Who sends it.
            total: Its bytes.

        Raises:
            RefusedError: TOO_MANY_UPLOADS, its sender has too many under way.
            DiskFullError: There is no room for it.
            StorageError: It cannot be opened.
        """
        whose = sha256(user.encode()).hexdigest()[:16]
        path = self.folder / f"{digest}-{whose}.part"
        self.forget_old()
        self._make_way(path, whose)
        self._make_room(path, total)
        package = IncomingPackage(path, digest, total, self._free)
        self._open.add(path)
        return package

    def ended(self, package: IncomingPackage) -> None:
        """Close a package; what has arrived stays for the next attempt."""
        package.close()
        self._open.discard(package.path)

    def unpack(self, package: IncomingPackage, name: str) -> Unpacked:
        """Unpack a package by the strict rules; the folder is called `name`.

        It may take half of what the disk has left.

        Raises:
            PackageError: It is unsafe, or too large; nothing of it is left.
            StorageError: It cannot be unpacked.
        """
        staging = self.folder / f"staging-{secrets.token_hex(8)}"
        with translated(staging):
            staging.mkdir(mode=0o700)
            most = min(DEFAULT_LIMITS.total_bytes, self._free(self.folder) // 2)
        try:
            limits = PackageLimits(total_bytes=most)
            hashed = unpack_hashed(package.path, staging / name, limits)
        except BaseException:
            self.discard(staging)
            raise
        return Unpacked(staging / name, hashed)

    def discard(self, staging: Path) -> None:
        """Delete a folder that was made here."""
        shutil.rmtree(staging, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what an earlier process was in the middle of, and what is too old."""
        for left in self.folder.glob("staging-*"):
            self.discard(left)
        self.forget_old()

    def forget_old(self) -> None:
        """Delete packages to which nothing was added for a day."""
        due = self._clock() - KEEP_SECONDS
        for path, changed in self._idle():
            if changed < due:
                _unlink(path)

    def _make_way(self, path: Path, whose: str) -> None:
        """Let a user have no more than some packages: the oldest that rests goes first."""
        others = [one for one in self.folder.glob(f"*-{whose}.part") if one != path]
        resting = [one for one, _ in self._idle() if one in others]
        surplus = len(others) + 1 - PACKAGES_OF_ONE
        if surplus > len(resting):
            msg = f"you have {len(others)} packages under way already"
            hint = "wait until one of them has arrived"
            raise RefusedError(msg, reason="TOO_MANY_UPLOADS", hint=hint)
        for one in resting[: max(surplus, 0)]:
            _unlink(one)

    def _make_room(self, path: Path, total: int) -> None:
        """See to it that a package fits, also unpacked and copied."""
        with translated(self.folder):
            here = path.stat().st_size if path.exists() else 0
            needed = max(_COPIES * total - here, 0) + SPARE_BYTES
            resting = [one for one, _ in self._idle() if one != path]
            free, gained = self._free(self.folder), sum(_size(one) for one in resting)
            # What would not fit all the same costs nobody what has arrived.
            while free < needed <= free + gained and resting:
                gained -= _size(resting[0])
                _unlink(resting.pop(0))
                free = self._free(self.folder)
        if free < needed:
            msg = f"a package of {total} bytes needs {needed} bytes of the server's disk: {free}"
            hint = "free space at the server, or leave data and results out of the MMAR"
            raise DiskFullError(f"{msg} are free", hint=hint)

    def _idle(self) -> list[tuple[Path, float]]:
        """Return packages that nobody sends just now, and when each was changed, oldest first."""
        found = []
        with translated(self.folder):
            for path in self.folder.iterdir():
                if _PART.fullmatch(path.name) and path not in self._open:
                    with suppress(FileNotFoundError):
                        found.append((path, path.lstat().st_mtime))
        return sorted(found, key=lambda one: one[1])


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.lstat().st_size
    return 0


def _unlink(path: Path) -> None:
    with translated(path):
        path.unlink(missing_ok=True)
