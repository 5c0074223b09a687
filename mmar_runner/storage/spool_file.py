# SPDX-License-Identifier: Apache-2.0
"""The reception of one update: written, hashed and checked as its bytes come."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.errors import DigestError, FormatError, NonFiniteError, SchemaMismatchError
from mmar_runner.storage.atomic import (
    publish,
    sync_folder,
    translated,
    write_all,
    write_bytes_atomic,
)
from mmar_runner.storage.update_check import UpdateCheck
from mmar_runner.storage.write_out import WriteOut

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mmar_runner.storage.model_schema import ModelSchema

_READ_BYTES = 1024 * 1024
_OFFSET_DIGITS = 16


@dataclass(frozen=True, slots=True)
class PartRecord:
    """Whose bytes a ``.part`` file holds; kept beside it.

    The number of good bytes stands at the end, in a field of fixed width, and is
    written over in place: the part file may be a recycled one, longer than them.

    Attributes:
        update_id: Names the content.
        total_bytes: How many bytes it will have.
    """

    update_id: str
    total_bytes: int

    @staticmethod
    def path(part: Path) -> Path:
        """Return where the record of a part file lies."""
        return part.with_name(f"{part.name}.json")

    def write(self, part: Path) -> None:
        """Start the record of an empty part file.

        Raises:
            StorageError: It cannot be written.
        """
        write_bytes_atomic(self.path(part), self._head() + self.tail(0))

    def continues(self, part: Path) -> bool:
        """Return True if the part file's bytes are of this very update."""
        return self.offset(part) > 0

    def offset(self, part: Path) -> int:
        """Return how many bytes of this update a part file holds; 0 for another's."""
        try:
            raw = self.path(part).read_bytes()
            size = part.stat().st_size
        except FileNotFoundError:
            return 0
        head = self._head()
        digits = raw[len(head) : len(head) + _OFFSET_DIGITS].strip()
        if not raw.startswith(head) or not digits.isdigit():
            return 0
        return min(int(digits), size, self.total_bytes)

    def tail(self, offset: int) -> bytes:
        """Return the record's end, from the position `tail_position` on."""
        return f"{offset:>{_OFFSET_DIGITS}}}}\n".encode()

    @property
    def tail_position(self) -> int:
        """Return the byte at which `tail` begins."""
        return len(self._head())

    def _head(self) -> bytes:
        named = json.dumps({"update_id": self.update_id, "total_bytes": self.total_bytes})
        return f'{named[:-1]}, "offset": '.encode()


class SpoolFile:
    """One update on its way in. Opened by `Spool.open`; not for two threads at once.

    Args:
        part: Where its bytes are written.
        final: Its name once it is committed.
        record: Whose bytes they are.
        schema: The tensors it must have.
        durable: Whether its bytes are to be on their way to the disk before `commit`.

    Attributes:
        offset: How many bytes are there; the next ones follow.
        total_bytes: How many were announced.
    """

    def __init__(
        self,
        part: Path,
        final: Path,
        record: PartRecord,
        schema: ModelSchema,
        *,
        durable: bool = False,
    ) -> None:
        self._part = part
        self._final = final
        self._record = record
        self._schema = schema
        self.total_bytes = record.total_bytes
        self._record_descriptor = -1
        self._descriptor = -1
        self._restart()
        with translated(part):
            self._descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o644)
            self._record_descriptor = os.open(record.path(part), os.O_WRONLY)
        self._resume()
        self._write_out = WriteOut(wanted=durable, offset=self.offset)

    def write(self, chunk: bytes | memoryview) -> None:
        """Append a chunk; see `write_many`."""
        self.write_many((chunk,))

    def write_many(self, chunks: Iterable[bytes | bytearray | memoryview]) -> None:
        """Append chunks, in order.

        Raises:
            FormatError: The bytes are not of the accepted profile, or too many.
            SchemaMismatchError: The tensors are not the model's.
            NonFiniteError: A tensor holds NaN or an infinity.
            DiskFullError: No space is left. The file can go on once there is.
            StorageError: The bytes cannot be written.
        """
        for chunk in chunks:
            view = memoryview(chunk).cast("B")
            if self.offset + len(view) > self.total_bytes:
                raise FormatError(
                    f"the update was announced with {self.total_bytes} bytes; more came"
                )
            with translated(self._part):
                write_all(self._descriptor, view, self.offset)
            self._write_out.wrote(self._descriptor, self.offset + len(view))
            self._see(view)
        with translated(self._part):
            write_all(
                self._record_descriptor, self._record.tail(self.offset), self._record.tail_position
            )

    def commit(self, sha256: str, durable: bool = False) -> Path:  # noqa: FBT001, FBT002
        """Give the complete file its final name.

        Args:
            sha256: What the sender says the whole file has (hex).
            durable: True to return only once file and name are on the disk.

        Returns:
            ``updates/round_<kkkk>/<client>.safetensors``.

        Raises:
            DigestError: Bytes are missing, or they are others. The file is discarded.
            DiskFullError: No space is left.
            StorageError: The file cannot be finished.
        """
        if self.offset != self.total_bytes:
            offset = self.offset
            self.discard()
            raise DigestError(f"{offset} of {self.total_bytes} announced bytes came")
        if self.sha256() != sha256.lower():
            self.discard()
            raise DigestError("the update's bytes do not have the announced sha256")
        with translated(self._part):
            os.ftruncate(self._descriptor, self.total_bytes)
            if durable:
                os.fdatasync(self._descriptor)
        publish(self._part, self._final, durable=durable)
        if durable:
            # The round's folder may be new, or be one that a crash kept from being synced.
            sync_folder(self._final.parent.parent)
        self.close()
        self._record.path(self._part).unlink(missing_ok=True)
        return self._final

    def sha256(self) -> str:
        """Return the sha256 (hex) of the bytes that are there."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file and keep what is there; `Spool.open` goes on from it."""
        for descriptor in (self._descriptor, self._record_descriptor):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._record_descriptor = -1

    def discard(self) -> None:
        """Close the file and remove what is there."""
        self.close()
        with translated(self._part):
            self._record.path(self._part).unlink(missing_ok=True)
            self._part.unlink(missing_ok=True)

    def _restart(self) -> None:
        self.offset = 0
        self._digest = hashlib.sha256()
        self._check = UpdateCheck(self._schema, self.total_bytes)

    def _see(self, view: memoryview) -> None:
        self._digest.update(view)
        self._check.feed(view)
        self.offset += len(view)

    def _resume(self) -> None:
        """See again what an earlier reception left; bad bytes are forgotten."""
        good = self._record.offset(self._part)
        buffer = memoryview(bytearray(min(good, _READ_BYTES)))
        try:
            while self.offset < good:
                wanted = buffer[: good - self.offset]
                with translated(self._part):
                    count = os.preadv(self._descriptor, [wanted], self.offset)
                if not count:
                    break
                self._see(buffer[:count])
        except (FormatError, SchemaMismatchError, NonFiniteError):
            self._restart()  # torn by a crash of the machine: the sender begins anew
