# SPDX-License-Identifier: Apache-2.0
"""A file that a console fetches: beside its place until all of it is here and checked."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import (
    DigestError,
    ProtocolError,
    StorageError,
    UnreachableError,
    UsageError,
)
from mmar_runner.security.packages.names import name_problem
from mmar_runner.storage.atomic import publish, translated, write_all, write_json_atomic

if TYPE_CHECKING:
    from mmar_runner.wire.codec import Chunk
    from mmar_runner.wire.messages import DownloadHeader

_STATE_BYTES: Final = 64 << 10
#: How often a file that arrives damaged is asked for.
_DAMAGED: Final = 3


class IncomingFile:
    """Takes the bytes of one file. Blocks; one thread at a time.

    Args:
        folder: That gets it; made if it is not there.
        path: What was asked for.

    Attributes:
        offset: How many bytes are here.
        total: How many there are to be; 0 before the server said so.
        sha256: Of all of them, hex; empty before.

    Raises:
        UsageError: The path has no name at its end.
        StorageError: The folder cannot be used.
    """

    def __init__(self, folder: Path, path: str) -> None:
        self._asked = path
        self._folder = folder
        self._name = path.rstrip("/").rpartition("/")[2]
        if name_problem(self._name, depth=1) is not None:
            msg = f"{self._name!r} is no name of a file"
            raise UsageError(msg, hint="download run_1/summary.json")
        self._part = folder / f".{self._name}.part"
        self._state = folder / f".{self._name}.part.json"
        self._target = folder / self._name
        self._damaged = 0
        with translated(folder):
            folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._part, flags, 0o600)
            size = os.fstat(self._descriptor).st_size
        self.sha256, self.total = self._kept()
        self.offset = size if size <= self.total else 0

    def begin(self, header: DownloadHeader) -> None:
        """Hear what comes; what is here already stays if it is the beginning of that.

        Raises:
            ProtocolError: The server announces something else than was asked for.
            StorageError: It cannot be written down, or something has the file's name.
        """
        if header.name not in {self._name, f"{self._name}.zip"}:
            msg = f"{self._name} was asked for, and the server sends {header.name[:80]!r}"
            raise ProtocolError(msg)
        self._target = self._folder / header.name
        self._require_free()
        if header.sha256 != self.sha256 or header.offset != self.offset:
            if header.offset:
                msg = f"the server began at byte {header.offset}, which nobody asked for"
                raise ProtocolError(msg)
            self._forget()
            state = {"path": self._asked, "sha256": header.sha256, "total": header.total_bytes}
            write_json_atomic(self._state, state)
        self.sha256, self.total = header.sha256, header.total_bytes

    def write(self, chunk: Chunk) -> None:
        """Take the next bytes.

        Raises:
            ProtocolError: They are more than was announced.
            StorageError: They cannot be written.
        """
        if self.offset + len(chunk) > self.total:
            msg = f"a file of {self.total} bytes was announced, and more arrived"
            raise ProtocolError(msg)
        with translated(self._part):
            write_all(self._descriptor, memoryview(chunk), self.offset)
        self.offset += len(chunk)

    def check(self) -> None:
        """Check that all of it is here; what is damaged is forgotten.

        Raises:
            UnreachableError: It arrived damaged; another attempt may go better.
            DigestError: It does so again and again.
        """
        with translated(self._part), self._part.open("rb") as file:
            found = file_digest(file, "sha256").hexdigest()
        if found == self.sha256:
            return
        self._forget()
        self._damaged += 1
        msg = f"{self._asked} arrived damaged"
        if self._damaged < _DAMAGED:
            raise UnreachableError(msg)
        raise DigestError(msg, hint="is it being written just now? Try again a little later")

    def finish(self) -> Path:
        """Give the file its name and return where it lies.

        Raises:
            StorageError: It cannot be had.
        """
        self._require_free()
        with translated(self._part):
            os.fsync(self._descriptor)
        publish(self._part, self._target, durable=True)
        with translated(self._state):
            self._state.unlink(missing_ok=True)
        return self._target

    def close(self) -> None:
        """Close the file; what has arrived stays, if anything has."""
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        self._descriptor = -1
        if not self.offset:
            with suppress(OSError):
                self._part.unlink(missing_ok=True)
                self._state.unlink(missing_ok=True)

    def _require_free(self) -> None:
        """Refuse to replace what is no plain file."""
        if os.path.lexists(self._target) and (
            self._target.is_symlink() or not self._target.is_file()
        ):
            msg = f"{self._target} is there, and is no plain file"
            raise StorageError(msg, hint="move it away, or choose another folder with --out")

    def _forget(self) -> None:
        with translated(self._part):
            os.ftruncate(self._descriptor, 0)
            self._state.unlink(missing_ok=True)
        self.offset, self.total, self.sha256 = 0, 0, ""

    def _kept(self) -> tuple[str, int]:
        """Return what an earlier attempt was told of the same path."""
        try:
            with self._state.open("rb") as file:
                kept: dict[str, Any] = json.loads(file.read(_STATE_BYTES))
            digest, total, asked = kept["sha256"], kept["total"], kept["path"]
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return "", 0
        sound = isinstance(digest, str) and type(total) is int and asked == self._asked
        return (digest, total) if sound else ("", 0)
