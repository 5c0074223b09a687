# SPDX-License-Identifier: Apache-2.0
"""Whether two folders hold the same: byte by byte, in several threads."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_COMPARED_BYTES: Final = 1 << 20
_THREADS: Final = 4


def same_files(one: Path, other: Path) -> bool:
    """Return True if two folders hold the same files with the same bytes, and only files.

    Raises:
        OSError: One of them cannot be read.
    """
    files = _sizes(one)
    if files is None or files != _sizes(other):
        return False
    with ThreadPoolExecutor(_THREADS, "compare") as pool:
        return all(pool.map(lambda path: _same_bytes(one / path, other / path), files))


def _sizes(root: Path) -> dict[str, int] | None:
    """Return the size of every file below a folder; None if something else lies there."""
    sizes: dict[str, int] = {}
    if root.is_symlink() or not root.is_dir():
        return None
    for path in root.rglob("*"):
        found = path.lstat()
        if stat.S_ISREG(found.st_mode):
            sizes[path.relative_to(root).as_posix()] = found.st_size
        elif not stat.S_ISDIR(found.st_mode):
            return None
    return sizes


def _same_bytes(one: Path, other: Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        while True:
            block = first.read(_COMPARED_BYTES)
            if block != second.read(_COMPARED_BYTES):
                return False
            if not block:
                return True
