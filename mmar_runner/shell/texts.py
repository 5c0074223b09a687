# SPDX-License-Identifier: Apache-2.0
"""Text files: read piece by piece; no models and no secrets."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

from mmar_runner.documents.words import printable
from mmar_runner.errors import UsageError
from mmar_runner.shell.limits import (
    LOOKED_AT_BYTES,
    LOOKED_AT_LINES,
    PIECE_BYTES,
    TEXT_BYTES,
)
from mmar_runner.shell.paths import Root, parts_of, refused

#: Names of keys, certificates, tokens and session keys, and of copies of them.
_SECRET_NAME: Final = re.compile(
    r"\.(key|pem|p12|pfx)([._~-]|$)|^[._-]*token|(session|private)[._-]?key", re.IGNORECASE
)
_PRIVATE_KEY: Final = b"PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text file that is open.

    Attributes:
        file: At its beginning.
        size: Bytes that it had when it was opened; what is written meanwhile is not read.
    """

    file: BinaryIO
    size: int

    @property
    def unread(self) -> int:
        """Bytes that were not read yet."""
        return max(0, self.size - self.file.tell())

    def pieces(self) -> Iterator[bytes]:
        """Yield the lines with their ends, and a line that is too long in pieces."""
        left = min(self.size, LOOKED_AT_BYTES)
        for _ in range(LOOKED_AT_LINES):
            piece = self.file.readline(min(left, PIECE_BYTES))
            if not piece:
                return
            left -= len(piece)
            yield piece


@contextmanager
def opened_text(root: Root, path: str) -> Iterator[TextFile]:
    """Open a file below the root, if it is fit to be shown.

    Raises:
        NotAuthorizedError: With reason ``PATH``: it may not be looked at.
        UsageError: There is no such file, or (``NOT_TEXT``) it is no text.
        StorageError: It cannot be read.
    """
    parts = parts_of(path)
    if parts and _SECRET_NAME.search(parts[-1]):
        raise refused(path, "keys, certificates and tokens are not shown")
    with (
        root.file(parts) as (descriptor, status),
        os.fdopen(descriptor, "rb", closefd=False) as file,
    ):
        head = file.read(TEXT_BYTES)
        if b"\0" in head:
            raise UsageError(
                f"'{printable(path)}' is no text file",
                reason="NOT_TEXT",
                hint="ls -l shows its size; models and other such files are not shown",
            )
        if _PRIVATE_KEY in head:
            raise refused(path, "a private key is in it")
        file.seek(0)
        yield TextFile(file, status.st_size)


def decoded(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield pieces as text; bytes that are none come out as their numbers."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    for piece in pieces:
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)
