# SPDX-License-Identifier: Apache-2.0
"""Folders and files as bytes, for machines that share no disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from mmar_runner.errors import StorageError
from mmar_runner.storage.atomic import translated

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The content of files by their place below a folder, with forward slashes.
Parcel: TypeAlias = Mapping[str, bytes]
#: By what a file is known to have changed: its size, and when it was written, in nanoseconds.
_Mark: TypeAlias = tuple[int, int]


def pack(folder: Path) -> dict[str, bytes]:
    """Return all regular files of a folder; there may be none. Links are not followed.

    Raises:
        StorageError: One cannot be read.
    """
    with translated(folder):
        return {place: (folder / place).read_bytes() for place, _ in _files(folder)}


def unpack(parcel: Parcel, folder: Path) -> None:
    """Write files into a folder, which is made; what else lies there stays.

    Raises:
        StorageError: A place lies outside the folder, or a file cannot be written.
    """
    with translated(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for place, content in parcel.items():
            path = within(folder, place)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def within(folder: Path, place: str) -> Path:
    """Return where a place of a parcel lies in a folder.

    Raises:
        StorageError: It lies outside.
    """
    parts = PurePosixPath(place).parts
    if not parts or PurePosixPath(place).is_absolute() or ".." in parts:
        msg = f"a parcel names {place!r}, which does not lie in its folder"
        raise StorageError(msg)
    return folder.joinpath(*parts)


@dataclass(frozen=True, slots=True)
class Changes:
    """What became of a folder since it was looked at.

    Attributes:
        written: Files that are new, or others than before.
        gone: Places that hold none any more.
    """

    written: Parcel = field(default_factory=dict)
    gone: tuple[str, ...] = ()

    def apply(self, folder: Path) -> None:
        """Do the same to a copy of the folder.

        Raises:
            StorageError: It cannot be done.
        """
        unpack(self.written, folder)
        with translated(folder):
            for place in self.gone:
                within(folder, place).unlink(missing_ok=True)


class Watched:
    """A folder of which changes are told.

    Args:
        folder: Which.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._marks = dict(_files(folder))

    def changes(self) -> Changes:
        """Return what has changed since this was asked last.

        Raises:
            StorageError: A file cannot be read.
        """
        with translated(self._folder):
            before, self._marks = self._marks, dict(_files(self._folder))
            written = {
                place: (self._folder / place).read_bytes()
                for place, mark in self._marks.items()
                if before.get(place) != mark
            }
        return Changes(written, tuple(sorted(before.keys() - self._marks.keys())))


def _files(folder: Path) -> Iterator[tuple[str, _Mark]]:
    for found, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(found, name)
            if path.is_file() and not path.is_symlink():
                facts = path.stat()
                yield path.relative_to(folder).as_posix(), (facts.st_size, facts.st_mtime_ns)
