# SPDX-License-Identifier: Apache-2.0
"""Folders as bytes: what a target that reads folders is given.

``=== NAME`` begins a file, ``=== NAME -> TARGET`` is a symbolic link; the bytes that follow,
up to the next such line, are the file's.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

_MARK: Final = b"=== "
_MOST: Final = 40


def as_bytes(files: dict[str, bytes]) -> bytes:
    """Return a folder's files as `unfold` takes them."""
    return b"".join(b"=== %b\n%b\n" % (name.encode(), data) for name, data in files.items())


def unfold(data: bytes, folder: Path) -> None:
    """Write what the bytes say below a folder; what would lie elsewhere is left out."""
    parts = (b"\n" + data).split(b"\n" + _MARK)[1:]
    for part in parts[:_MOST]:
        name, _, content = part.partition(b"\n")
        shown = name.decode("utf-8", "surrogateescape")
        path, arrow, leads = shown.partition(" -> ")
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or "\0" in shown:
            continue
        with suppress(OSError):  # a name that no disk takes is no file
            file = folder / pure
            file.parent.mkdir(parents=True, exist_ok=True)
            if arrow:
                file.symlink_to(leads)
            else:
                file.write_bytes(content)
