# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of accepted updates lie: small ones in the journal, large ones in the spool.

Whoever writes them there has its own reasons (`server/calls/reception.py`); whoever wants them
back asks here.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import JournalError, StorageError
from mmar_runner.storage.codec_names import NONE
from mmar_runner.storage.codecs import CODECS
from mmar_runner.storage.coded_reader import CodedReader
from mmar_runner.storage.spool import update_path
from mmar_runner.storage.tensor_bytes import TensorBytes
from mmar_runner.storage.tensor_files import TensorReader, sha256_file

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.server.records.record import AcceptedUpdate, CountedUpdate
    from mmar_runner.storage.codecs import Codec
    from mmar_runner.storage.coded_reader import BlockReader
    from mmar_runner.storage.journal import Journal

#: Bytes of small updates that are kept at hand; further ones are read from the journal.
_AT_HAND: Final = 16 << 20


class UpdateBytes:
    """The bytes of a run's accepted updates. Read from any thread, kept by one.

    Args:
        folder: The spool's.
        journal: Of the run.
        codec: In which its updates travel, and lie.
    """

    def __init__(self, folder: Path, journal: Journal, codec: Codec = CODECS[NONE]) -> None:
        self._folder = folder
        self._journal = journal
        self._codec = codec
        self._at_hand: dict[str, bytes] = {}
        self._room = _AT_HAND

    def keep(self, update: AcceptedUpdate, data: bytes) -> None:
        """Keep a small update's bytes at hand, if there is room; they are on their way to disk."""
        if len(data) <= self._room:
            self._room -= len(data)
            self._at_hand[update.sha256] = data

    def drop(self, update: AcceptedUpdate) -> None:
        """Keep an update's bytes at hand no more: it does not count."""
        self._room += len(self._at_hand.pop(update.sha256, b""))

    def forget(self) -> None:
        """Keep nothing at hand any more: another round begins."""
        self._at_hand, self._room = {}, _AT_HAND

    def open(self, counted: CountedUpdate) -> BlockReader:
        """Open an update to read its tensors, in the model's dtypes; a partial sum's in float64.

        Raises:
            StorageError: It cannot be read.
            FormatError: It is no safetensors file.
        """
        reader = self._opened(counted)
        coded = self._codec.wire and not counted.update.facts.parts
        return CodedReader(reader, self._codec) if coded else reader

    def _opened(self, counted: CountedUpdate) -> BlockReader:
        update = counted.update
        if not update.inline:
            return TensorReader(self._path(update))
        data = self._at_hand.get(update.sha256)
        return TensorBytes(self._recorded(counted) if data is None else data)

    def is_whole(self, counted: CountedUpdate) -> bool:
        """Whether an update lies where it should, with the bytes that were accepted."""
        update = counted.update
        try:
            if update.inline:
                return sha256(self._recorded(counted)).hexdigest() == update.sha256
            path = self._path(update)
            return path.is_file() and sha256_file(path) == update.sha256
        except (JournalError, StorageError):
            return False

    def _path(self, update: AcceptedUpdate) -> Path:
        return update_path(self._folder, update.base, update.client)

    def _recorded(self, counted: CountedUpdate) -> bytes:
        return self._journal.blob(counted.number.result())
