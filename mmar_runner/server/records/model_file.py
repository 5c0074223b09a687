# SPDX-License-Identifier: Apache-2.0
"""One model file, what the file system says of it, and its digest, which is not read often."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from mmar_runner.storage.tensor_files import sha256_file
from mmar_runner.wire.limits import INLINE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

#: A file as it is now: inode, size, time of the last change in nanoseconds.
Stamp: TypeAlias = tuple[int, int, int]

#: Digests of files that are remembered.
_DIGESTS: Final = 64


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One model file that is whole and will not change.

    Attributes:
        path: Where it lies.
        sha256: Of the whole file, hex.
        size: In bytes.
        inline: The whole file, if it is small enough to travel in one message.
        stamp: What the file system said of it then; None if nobody looked.
    """

    path: Path
    sha256: str
    size: int
    inline: bytes | None
    stamp: Stamp | None = None

    @classmethod
    def load(cls, path: Path, sha256: str) -> ModelFile:
        """Describe a file whose digest is known."""
        described = cls.of(path, sha256)
        inline = path.read_bytes() if described.size <= INLINE_BYTES else None
        return replace(described, inline=inline)

    @classmethod
    def of(cls, path: Path, sha256: str) -> ModelFile:
        """Describe a file that travels nowhere, and whose digest is known."""
        stamp = _stamp(path)
        return cls(path, sha256, stamp[1], None, stamp)

    @property
    def is_as_it_was(self) -> bool:
        """Whether the file system says of it what it said when it was described."""
        try:
            return self.stamp is None or self.stamp == _stamp(self.path)
        except OSError:
            return False


class Digests:
    """The digests of files: whoever asks often does not have one read often."""

    def __init__(self) -> None:
        self._known: dict[Stamp, str] = {}

    def of(self, path: Path) -> str:
        """Return a file's sha256, hex; it is read if the file system says that it has changed.

        Raises:
            OSError: It is not there.
            StorageError: It cannot be read.
        """
        stamp = _stamp(path)
        if stamp not in self._known:
            if len(self._known) >= _DIGESTS:
                self._known.clear()
            self._known[stamp] = sha256_file(path)
        return self._known[stamp]

    def forget(self, path: Path) -> None:
        """Have a file read the next time, whatever the file system says of it."""
        with suppress(OSError):
            self._known.pop(_stamp(path), None)


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return (found.st_ino, found.st_size, found.st_mtime_ns)
