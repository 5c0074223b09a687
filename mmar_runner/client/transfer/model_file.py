# SPDX-License-Identifier: Apache-2.0
"""A global model on its way into a file. Called from worker threads, one at a time."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING

from mmar_runner.errors import DigestError, ProtocolError
from mmar_runner.storage.atomic import translated, write_all
from mmar_runner.wire.packing import unpack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mmar_runner.wire.codec import Chunk
    from mmar_runner.wire.messages import ModelHeader
    from mmar_runner.wire.packing import Packed


class IncomingModel:
    """Writes and hashes the bytes of one model.

    The file is overwritten in place, since nobody reads a slot that is being filled;
    it is cut to size at the end.

    Args:
        path: The file.
        header: What the server announced.

    Raises:
        StorageError: The file cannot be opened.
    """

    def __init__(self, path: Path, header: ModelHeader) -> None:
        self.path = path
        self.round = header.round
        self.sha256 = header.sha256
        self.total_bytes = header.total_bytes
        self.offset = 0
        self._hash = sha256()
        with translated(path):
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def continues(self, header: ModelHeader) -> bool:
        """Whether what the server sends now follows on what is here."""
        same = header.sha256 == self.sha256 and header.total_bytes == self.total_bytes
        return same and header.offset == self.offset and header.round == self.round

    def write(self, chunks: Sequence[Chunk | Packed]) -> None:
        """Take the next bytes, compressed or not.

        Raises:
            ProtocolError: They are more than was announced, or no sound compressed chunk.
            StorageError: They cannot be written.
        """
        for chunk in map(unpack, chunks):
            if self.offset + len(chunk) > self.total_bytes:
                msg = f"a model of {self.total_bytes} bytes was announced, and more arrived"
                raise ProtocolError(msg)
            with translated(self.path):
                write_all(self._descriptor, memoryview(chunk), self.offset)
            self._hash.update(chunk)
            self.offset += len(chunk)

    def finish(self) -> None:
        """Check that the model is complete and cut the file to its size.

        Raises:
            DigestError: The bytes are not those that were announced.
            StorageError: The file cannot be cut.
        """
        if self.offset != self.total_bytes or self._hash.hexdigest() != self.sha256:
            msg = f"the model of round {self.round} arrived damaged"
            raise DigestError(msg)
        with translated(self.path):
            os.ftruncate(self._descriptor, self.total_bytes)

    def close(self) -> None:
        """Close the file; what was received stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
