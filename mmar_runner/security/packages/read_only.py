# SPDX-License-Identifier: Apache-2.0
"""Read-only folders: how they are filled, closed, moved away and deleted."""

from __future__ import annotations

import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO, Final

from mmar_runner.errors import StorageError
from mmar_runner.storage.atomic import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FOLDER_MODE: Final = 0o555
_FILE_MODE: Final = 0o444
_BLOCK_BYTES: Final = 1 << 26
_THREADS: Final = 4


def fill(root: Path, files: Mapping[str, Callable[[], BinaryIO]]) -> None:
    """Copy files into a new folder, of which only the root can be written afterwards.

    Args:
        root: The folder, empty.
        files: By path relative to it, what opens them.

    Raises:
        OSError: A file cannot be read, or there is no room.
    """
    for folder in sorted({(root / path).parent for path in files}):
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_THREADS, "copy") as pool:
        for _ in pool.map(lambda path: _copy(files[path], root / path), files):
            pass
    _close_folders(root)


def set_aside(folder: Path, target: Path) -> None:
    """Move a folder, or whatever lies in its place.

    Raises:
        OSError: It cannot be moved.
    """
    if folder.is_dir() and not folder.is_symlink():
        folder.chmod(stat.S_IRWXU)  # whoever moves a folder must be able to write it
    folder.rename(target)


def remove_folder(folder: Path) -> None:
    """Delete a folder with everything in it, read-only folders too.

    Raises:
        StorageError: It cannot be deleted.
    """
    with translated(folder):
        for path, _, _ in os.walk(folder):
            os.chmod(path, stat.S_IRWXU)  # noqa: PTH101 - a string from os.walk
        shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        msg = f"{folder} cannot be deleted"
        raise StorageError(msg, hint="delete it by hand; nothing in it is used")


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
            os.chmod(folder, FOLDER_MODE)  # noqa: PTH101 - a string from os.walk
