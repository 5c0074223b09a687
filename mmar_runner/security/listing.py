# SPDX-License-Identifier: Apache-2.0
"""Every file of an MMAR, as two parties compare it: path, size, content, kind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Final

#: The root's file with the signatures: the one file that no listing and no digest holds.
SIGNATURE_FILE: Final = "signature.json"
_HEADER: Final = b"mmar-manifest-2\n"


class FileKind(StrEnum):
    """What a file is to those who decide whether they let it run."""

    CONFIG = "config"
    DATA = "data"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class HashedFile:
    """What a file holds, known to whoever wrote it.

    Attributes:
        size: In bytes.
        sha256: Of its content, hex.
    """

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file.

    Attributes:
        path: Relative to the root, forward slashes, composed Unicode (NFC).
        size: In bytes.
        sha256: Of its content, hex.
        kind: Told from the path alone, by an allow-list of data.
    """

    path: str
    size: int
    sha256: str
    kind: FileKind


@dataclass(frozen=True)
class FileListing:
    """Every file of an MMAR but the root's signature file.

    Attributes:
        name: The MMAR's name.
        files: Sorted by path.
        unlisted: Sentences about what lies there and could not be listed; if there is
            one, the listing speaks for no whole folder.
    """

    name: str
    files: tuple[ListedFile, ...]
    unlisted: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """The sha256 over all of it, hex: what an MMAR is known by."""
        digest = sha256(_HEADER)
        for file in self.files:
            digest.update(f"{file.sha256} {file.size} {file.path}\n".encode())
        return digest.hexdigest()

    @property
    def byoc(self) -> bool:
        """True if any file counts as code."""
        return any(file.kind is FileKind.CODE for file in self.files)
