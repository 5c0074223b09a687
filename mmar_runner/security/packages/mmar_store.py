# SPDX-License-Identifier: Apache-2.0
"""What runs: read-only copies of MMARs, each in a folder named by its digest.

A copy is made first and looked at afterwards, so that nothing can change between check
and use. It gets its name only when its digest is known, by a rename: what lies under a
digest is whole, or not there. What lies there already is compared byte by byte with the
copy at hand, and replaced if it is not the same, so a copy that was torn by a crash or
altered by somebody is never used.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from mmar_runner.errors import StorageError
from mmar_runner.security.packages.same_files import same_files
from mmar_runner.storage.atomic import storage_error, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_STAGING: Final = ".staging-"
_FOLDER_MODE: Final = 0o555
_FILE_MODE: Final = 0o444
_BLOCK_BYTES: Final = 1 << 26
_THREADS: Final = 4


class MmarStore:
    """The MMARs that were accepted, or are being looked at, at one place.

    Several processes may use one store at once.

    Args:
        folder: Where they lie; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[Path, int] = {}

    def stage(self, name: str, files: Mapping[str, Callable[[], BinaryIO]]) -> Path:
        """Copy files to a place of their own, which has no digest yet.

        Args:
            name: The MMAR's name, which the copy's folder gets.
            files: By path relative to the MMAR, what opens them.

        Returns:
            The copy's folder; `keep` or `discard` it.

        Raises:
            StorageError: A file cannot be read, or there is no room.
        """
        with translated(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            staged = self._new_staging() / name
            staged.mkdir()
        try:
            for folder in sorted({(staged / path).parent for path in files}):
                folder.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(_THREADS, "copy") as pool:
                for _ in pool.map(lambda path: _copy(files[path], staged / path), files):
                    pass
            _close_folders(staged)
        except OSError as error:
            self.discard(staged)
            raise storage_error(error, staged) from error
        return staged

    def keep(self, staged: Path, digest: str) -> Path:
        """Give a copy its digest's name, and return where it lies.

        If the same copy lies there already, that one is returned.

        Raises:
            StorageError: It cannot be renamed.
        """
        final = self._folder / digest / staged.name
        with self._locked(), translated(final):
            final.parent.mkdir(exist_ok=True)
            if not same_files(final, staged):
                if os.path.lexists(final):
                    _set_aside(final, staged.parent / ".replaced")
                staged.rename(final)
                final.chmod(_FOLDER_MODE)
        self.discard(staged)
        return final

    def remove(self, root: Path) -> None:
        """Delete a copy that has a digest's name.

        Raises:
            StorageError: It cannot be deleted.
        """
        with translated(root):
            staging = self._new_staging()
        with self._locked(), translated(root):
            _set_aside(root, staging / root.name)
            if not any(root.parent.iterdir()):
                root.parent.rmdir()
        self._release(staging)

    def discard(self, staged: Path) -> None:
        """Delete a copy that has no digest's name."""
        self._release(staged.parent)

    def sweep(self) -> None:
        """Delete what an earlier process was in the middle of."""
        if not self._folder.is_dir():
            return
        with self._locked():
            for left in self._folder.glob(f"{_STAGING}*"):
                descriptor = _try_lock(left)
                if descriptor is not None:
                    _remove(left)
                    os.close(descriptor)

    def _new_staging(self) -> Path:
        """Make a folder that `sweep` leaves alone for as long as this process lives."""
        staging = self._folder / f"{_STAGING}{secrets.token_hex(8)}"
        with self._locked():
            staging.mkdir(mode=0o700)
            self._held[staging] = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._held[staging], fcntl.LOCK_EX)
        return staging

    def _release(self, staging: Path) -> None:
        _remove(staging)
        os.close(self._held.pop(staging))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._folder / ".lock", flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _copy(opener: Callable[[], BinaryIO], target: Path) -> None:
    with opener() as source, target.open("xb") as copy:
        if not _copied_by_kernel(source, copy):
            shutil.copyfileobj(source, copy, 1 << 20)
        os.fchmod(copy.fileno(), _FILE_MODE)


def _copied_by_kernel(source: BinaryIO, copy: BinaryIO) -> bool:
    """Copy without the bytes passing through here; False if nothing was copied so."""
    moved = False
    try:
        while os.sendfile(copy.fileno(), source.fileno(), None, _BLOCK_BYTES):
            moved = True
    except OSError:
        if moved:
            raise
        return False
    return True


def _close_folders(root: Path) -> None:
    for folder, _, _ in os.walk(root, topdown=False):
        if folder != str(root):
            os.chmod(folder, _FOLDER_MODE)  # noqa: PTH101 - a string from os.walk


def _set_aside(folder: Path, target: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        folder.chmod(stat.S_IRWXU)  # whoever moves a folder must be able to write it
    folder.rename(target)


def _try_lock(folder: Path) -> int | None:
    """Return a descriptor that holds a folder; None if another process holds it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None  # it is gone already
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove(folder: Path) -> None:
    """Delete a folder with everything in it, read-only folders too."""

    def opened(path: str) -> None:
        os.chmod(path, stat.S_IRWXU)  # noqa: PTH101 - a string from os.walk

    with translated(folder):
        for path, _, _ in os.walk(folder):
            opened(path)
        shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        msg = f"{folder} cannot be deleted"
        raise StorageError(msg, hint="delete it by hand; nothing in it is used")
