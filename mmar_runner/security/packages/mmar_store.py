# SPDX-License-Identifier: Apache-2.0
"""What runs: read-only copies of MMARs, each in a folder named by its digest.

A copy is made first and looked at afterwards, so that nothing can change between check
and use. It gets its name only when its digest is known, by a rename: what lies under a
digest is whole, or not there. What lies there already is compared byte by byte with the
copy at hand, and replaced if it is not the same, so a copy that was torn by a crash or
altered by somebody is never used. Whoever keeps a copy holds it for as long as it lives,
so that no other process takes it away meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from mmar_runner.security.packages.read_only import FOLDER_MODE, fill, remove_folder, set_aside
from mmar_runner.security.packages.same_files import same_files
from mmar_runner.storage.atomic import storage_error, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

_STAGING: Final = ".staging-"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


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
            fill(staged, files)
        except OSError as error:
            self.discard(staged)
            raise storage_error(error, staged) from error
        return staged

    def keep(self, staged: Path, digest: str) -> Path:
        """Give a copy its digest's name, and return where it lies.

        If the same copy lies there already, that one is returned. This process holds it
        from now on, until it ends or removes it: others leave it where it is.

        Raises:
            StorageError: It cannot be renamed.
        """
        final = self._folder / digest / staged.name
        with translated(final), self._locked():
            final.parent.mkdir(exist_ok=True)
            self._hold(final.parent)
            if not same_files(final, staged):
                if os.path.lexists(final):
                    set_aside(final, staged.parent / ".replaced")
                staged.rename(final)
            final.chmod(FOLDER_MODE)  # also if a crash came between the two
        self.discard(staged)
        return final

    def remove(self, root: Path) -> None:
        """Delete a copy that has a digest's name, unless another process holds it.

        Raises:
            StorageError: It cannot be deleted.
        """
        if (held := self._held.pop(root.parent, None)) is not None:
            os.close(held)
        self._delete([root.parent])

    def prune(self, needed: Collection[str]) -> None:
        """Delete every copy that no process holds and whose digest nobody needs.

        Args:
            needed: The digests whose copies stay.

        Raises:
            StorageError: One cannot be deleted.
        """
        if self._folder.is_dir():
            found = (path for path in self._folder.iterdir() if _DIGEST.fullmatch(path.name))
            self._delete(path for path in found if path.name not in needed)

    def discard(self, staged: Path) -> None:
        """Delete a copy that has no digest's name."""
        self._release(staged.parent)

    def sweep(self) -> None:
        """Delete what an earlier process was in the middle of.

        Raises:
            StorageError: It cannot be deleted.
        """
        if not self._folder.is_dir():
            return
        with translated(self._folder), self._locked():
            for left in self._folder.glob(f"{_STAGING}*"):
                with _unheld(left) as unheld:
                    if unheld:
                        remove_folder(left)

    def _delete(self, folders: Iterable[Path]) -> None:
        """Delete what lies under digests, wherever no process holds it."""
        with translated(self._folder):
            staging = self._new_staging()
            with self._locked():  # in which nobody begins to hold one
                for folder in list(folders):
                    with _unheld(folder) as unheld:
                        if unheld:
                            set_aside(folder, staging / folder.name)
        self._release(staging)

    def _hold(self, folder: Path) -> None:
        """Keep others from deleting a digest's folder for as long as this process lives."""
        if folder not in self._held:
            self._held[folder] = os.open(folder, _FOLDER_FLAGS)
            fcntl.flock(self._held[folder], fcntl.LOCK_SH)

    def _new_staging(self) -> Path:
        """Make a folder that `sweep` leaves alone for as long as this process lives."""
        staging = self._folder / f"{_STAGING}{secrets.token_hex(8)}"
        with self._locked():
            staging.mkdir(mode=0o700)
            self._held[staging] = os.open(staging, _FOLDER_FLAGS)
            fcntl.flock(self._held[staging], fcntl.LOCK_EX)
        return staging

    def _release(self, staging: Path) -> None:
        remove_folder(staging)
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


@contextmanager
def _unheld(folder: Path) -> Iterator[bool]:
    """Say whether a folder is there and nobody holds it, and hold it for the block if so."""
    try:
        descriptor = os.open(folder, _FOLDER_FLAGS)
    except OSError:
        yield False  # it is gone already
        return
    try:
        yield _locks_now(descriptor)
    finally:
        os.close(descriptor)


def _locks_now(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
