# SPDX-License-Identifier: Apache-2.0
"""What runs: read-only copies of MMARs, each in a folder named by its digest.

A copy is made first and looked at afterwards, so that nothing can change between check
and use. It gets its name only when its digest is known, by a rename: what lies under a
digest is whole, or not there.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from typing import TYPE_CHECKING, BinaryIO, Final

from mmar_runner.errors import StorageError
from mmar_runner.storage.atomic import storage_error, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_STAGING: Final = ".staging-"
_FOLDER_MODE: Final = 0o555
_FILE_MODE: Final = 0o444
_BLOCK_BYTES: Final = 1 << 26


class MmarStore:
    """The MMARs that were accepted, or are being looked at, at one place.

    Args:
        folder: Where they lie; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

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
            staged = self._folder / f"{_STAGING}{secrets.token_hex(8)}" / name
            staged.mkdir(parents=True)
        try:
            for path, opener in files.items():
                _copy(opener, staged / path)
            _close_folders(staged)
        except OSError as error:
            self.discard(staged)
            raise storage_error(error, staged) from error
        return staged

    def keep(self, staged: Path, digest: str) -> Path:
        """Give a copy its digest's name; what had it before is replaced.

        Raises:
            StorageError: It cannot be renamed.
        """
        final = self._folder / digest / staged.name
        with translated(final):
            final.parent.mkdir(exist_ok=True)
            if final.exists():
                # Not looked at, but replaced: the copy at hand is known to be right.
                final.rename(staged.parent / "replaced")
            staged.rename(final)
            final.chmod(_FOLDER_MODE)
        _remove(staged.parent)
        return final

    def discard(self, staged: Path) -> None:
        """Delete a copy that did not pass."""
        _remove(staged.parent)

    def sweep(self) -> None:
        """Delete what an earlier process was in the middle of."""
        for left in self._folder.glob(f"{_STAGING}*"):
            _remove(left)


def _copy(opener: Callable[[], BinaryIO], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
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
