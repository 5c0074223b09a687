# SPDX-License-Identifier: Apache-2.0
"""An MMAR's package on its way into a file; it goes on after an interruption, or a kill.

What the server announced is kept beside the bytes, so that a later process asks for the
rest of the same package. Nothing of it is believed before all of it has its sha256.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from hashlib import file_digest
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import DigestError, ProtocolError
from mmar_runner.security.packages.names import checked_name
from mmar_runner.security.packages.packing import DEFAULT_LIMITS
from mmar_runner.security.packages.sink import too_large
from mmar_runner.storage.atomic import translated, write_all, write_json_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.wire.codec import Chunk
    from mmar_runner.wire.messages import PackageHeader

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_STATE_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Announced:
    """What a server says of a package.

    Attributes:
        name: The MMAR's name.
        digest: The MMAR's digest, hex.
        sha256: Of the package, hex.
        total_bytes: Of the package.
    """

    name: str
    digest: str
    sha256: str
    total_bytes: int


class IncomingPackage:
    """Takes the bytes of one package. Called from worker threads, one at a time.

    Args:
        folder: Where it is kept until it is complete.

    Attributes:
        path: The package.
        announced: What it is to be; None before anything was announced.
        offset: How many bytes are here.

    Raises:
        StorageError: The folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "incoming.part"
        self._state = folder / "incoming.json"
        with translated(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self.path, flags, 0o600)
            size = os.fstat(self._descriptor).st_size
        self.announced = self._kept()
        self.offset = size if self.announced and size <= self.announced.total_bytes else 0

    def begin(self, header: PackageHeader) -> Announced:
        """Hear what comes; what is here already stays if it is the beginning of that.

        Raises:
            PackageError: UNSAFE_PATH or TOO_LARGE.
            ProtocolError: The server begins where nobody asked it to.
            StorageError: It cannot be written down.
        """
        announced = Announced(header.name, header.digest, header.sha256, header.total_bytes)
        if not _HASH.fullmatch(announced.sha256) or not _HASH.fullmatch(announced.digest):
            msg = "the server announced a package without saying which"
            raise ProtocolError(msg)
        checked_name(announced.name, depth=1)
        if announced.total_bytes > DEFAULT_LIMITS.package_bytes:
            raise too_large(f"{announced.total_bytes} bytes")
        if announced == self.announced and header.offset == self.offset:
            return announced
        if header.offset:
            msg = f"the server began at byte {header.offset}, which nobody asked for"
            raise ProtocolError(msg)
        self.forget()
        write_json_atomic(self._state, _as_json(announced))
        self.announced = announced
        return announced

    def write(self, chunk: Chunk) -> None:
        """Take the next bytes.

        Raises:
            ProtocolError: They are more than was announced.
            StorageError: They cannot be written.
        """
        total = self.announced.total_bytes if self.announced else 0
        if self.offset + len(chunk) > total:
            msg = f"a package of {total} bytes was announced, and more arrived"
            raise ProtocolError(msg)
        with translated(self.path):
            write_all(self._descriptor, memoryview(chunk), self.offset)
        self.offset += len(chunk)

    def check(self) -> None:
        """Check that everything that was announced is here; what is damaged is forgotten.

        Raises:
            DigestError: The bytes are not those that were announced.
            StorageError: They cannot be read.
        """
        with translated(self.path), self.path.open("rb") as file:
            found = file_digest(file, "sha256").hexdigest()
        if self.announced is None or found != self.announced.sha256:
            self.forget()
            msg = "the package arrived damaged"
            raise DigestError(msg)

    def forget(self) -> None:
        """Begin anew, with nothing.

        Raises:
            StorageError: The file cannot be emptied.
        """
        with translated(self.path):
            os.ftruncate(self._descriptor, 0)
            self._state.unlink(missing_ok=True)
        self.announced = None
        self.offset = 0

    def close(self) -> None:
        """Close the file; what was received stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Delete everything that was received.

        Raises:
            StorageError: It cannot be deleted.
        """
        self.close()
        with translated(self.path):
            self._state.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)

    def _kept(self) -> Announced | None:
        """Return what an earlier process was told; None if that cannot be used."""
        try:
            with self._state.open("rb") as file:
                kept = Announced(**json.loads(file.read(_STATE_BYTES)))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        texts = (kept.name, kept.digest, kept.sha256)
        sound = all(isinstance(text, str) for text in texts) and type(kept.total_bytes) is int
        return kept if sound else None


def _as_json(announced: Announced) -> dict[str, Any]:
    return {
        "name": announced.name,
        "digest": announced.digest,
        "sha256": announced.sha256,
        "total_bytes": announced.total_bytes,
    }
