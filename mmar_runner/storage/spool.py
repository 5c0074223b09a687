# SPDX-License-Identifier: Apache-2.0
"""Where updates arrive: one file per client and round, resumable, reused afterwards.

::

    updates/round_0007/site-1.part         bytes that have come so far
    updates/round_0007/site-1.part.json    whose they are, and how many are good
    updates/round_0007/site-1.safetensors  committed
    updates/free/0 ...                     files of past rounds, to be written over

Writing over a file whose pages the system still holds is many times faster than
writing a new one, so the committed files of a finished round are kept (a bounded number
of them) and serve the next. A file that is still being received never does: whoever
writes it holds it open, and would write into what somebody else sends next.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from mmar_runner.errors import FormatError, StorageError
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.spool_file import PartRecord, SpoolFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmar_runner.storage.model_schema import ModelSchema

_LENGTH_BYTES = 8
_FREE_FILES = 256


class Spool:
    """The updates of a run, below one folder. Methods may be called from any thread.

    Args:
        folder: Normally ``run_<N>/updates``; created if it is not there.
        free_files: How many files of past rounds are kept for reuse at most.
        durable: Whether updates will be committed to the disk.

    Raises:
        StorageError: The folder cannot be created.
    """

    def __init__(
        self, folder: Path, *, free_files: int = _FREE_FILES, durable: bool = False
    ) -> None:
        self.folder = folder
        self._durable = durable
        self._free = folder / "free"
        self._free_limit = free_files
        self._lock = threading.Lock()
        with translated(folder):
            self._free.mkdir(parents=True, exist_ok=True)
            self._free_names = sorted(entry.name for entry in self._free.iterdir())
        self._serial = 1 + max((int(n) for n in self._free_names if n.isdecimal()), default=-1)

    def path(self, round_number: int, client: str) -> Path:
        """Return where a client's committed update of a round lies.

        Raises:
            StorageError: The client's name is no file name.
        """
        return update_path(self.folder, round_number, client)

    def open(
        self,
        round_number: int,
        client: str,
        update_id: str,
        total_bytes: int,
        schema: ModelSchema,
    ) -> SpoolFile:
        """Open the reception of one update; the same update goes on where it was.

        The caller lets only one reception per round and client be open at a time.

        Args:
            round_number: The round.
            client: The client's name.
            update_id: Names the content: the same id, the same bytes.
            total_bytes: The announced size of the file.
            schema: The tensors that the file must hold.

        Returns:
            The file; its ``offset`` says how many bytes are there already.

        Raises:
            FormatError: No file of this model has that size.
            DiskFullError: No space is left.
            StorageError: The file cannot be opened.
        """
        _check_total(total_bytes, schema)
        final = self.path(round_number, client)
        part = final.with_suffix(".part")
        with translated(part):
            final.parent.mkdir(parents=True, exist_ok=True)
        record = PartRecord(update_id, total_bytes)
        if not (part.is_file() and record.continues(part)):
            with translated(part):
                part.unlink(missing_ok=True)
            self._take(part, total_bytes)
            record.write(part)
        return SpoolFile(part, final, record, schema, durable=self._durable)

    def discard(self, round_number: int, client: str) -> None:
        """Remove what a client sent for a round, committed or not; it may be nothing.

        Nobody may be writing it. None of its files is kept for reuse.

        Raises:
            StorageError: It cannot be removed.
        """
        final = self.path(round_number, client)
        part = final.with_suffix(".part")
        with translated(final):
            for path in (final, part, PartRecord.path(part)):
                path.unlink(missing_ok=True)

    def release(self, round_number: int, client: str) -> None:
        """Remove a client's committed update, which is not needed any more, or keep it for reuse.

        Raises:
            StorageError: It cannot be removed.
        """
        self._give(self.path(round_number, client))

    def delete_round(self, round_number: int) -> None:
        """Remove a round's files, committed or not; some committed ones are kept for reuse.

        Raises:
            StorageError: They cannot be removed.
        """
        folder = self._round_folder(round_number)
        if not folder.is_dir():
            return
        with translated(folder):
            for path in sorted(folder.iterdir()):
                if path.suffix == ".safetensors":
                    self._give(path)
            shutil.rmtree(folder)

    def rounds(self) -> list[int]:
        """Return the rounds that have a folder, sorted."""
        with translated(self.folder):
            names = [path.name for path in self.folder.glob("round_*") if path.is_dir()]
        numbers = (name.removeprefix("round_") for name in names)
        return sorted(int(number) for number in numbers if number.isdecimal())

    def keep_only(self, rounds: Iterable[int]) -> None:
        """Remove the files of every other round: what a crash left behind.

        Raises:
            StorageError: They cannot be removed.
        """
        kept = set(rounds)
        for number in self.rounds():
            if number not in kept:
                self.delete_round(number)

    def close(self) -> None:
        """Remove the files kept for reuse; the run is over."""
        with self._lock, translated(self._free):
            self._free_names = []
            shutil.rmtree(self._free, ignore_errors=True)

    def _round_folder(self, round_number: int) -> Path:
        return _round_folder(self.folder, round_number)

    def _give(self, path: Path) -> None:
        """Move a file to the free ones, or remove it if they are many."""
        with self._lock, translated(path):
            if not path.is_file():
                return
            if len(self._free_names) >= self._free_limit:
                path.unlink()
                return
            name = f"{self._serial:06d}"
            self._serial += 1
            path.replace(self._free / name)
            self._free_names.append(name)

    def _take(self, path: Path, total_bytes: int) -> None:
        """Put a free file in place of ``path``, if one is there that is not too large."""
        with self._lock, translated(path):
            while self._free_names:
                candidate = self._free / self._free_names.pop()
                if candidate.is_file() and candidate.stat().st_size <= 2 * total_bytes:
                    candidate.replace(path)
                    return
                candidate.unlink(missing_ok=True)


def update_path(folder: Path, round_number: int, client: str) -> Path:
    """Return where a client's committed update of a round lies in a spool's folder.

    Raises:
        StorageError: The client's name is no file name.
    """
    return _round_folder(folder, round_number) / f"{_file_name(client)}.safetensors"


def _round_folder(folder: Path, round_number: int) -> Path:
    return folder / f"round_{round_number:04d}"


def _check_total(total_bytes: int, schema: ModelSchema) -> None:
    least = _LENGTH_BYTES + schema.data_bytes
    most = least + schema.header_limit
    if not least < total_bytes <= most:
        raise FormatError(
            f"the update is announced with {total_bytes} bytes; a file of this model has "
            f"more than {least} and at most {most}"
        )


def _file_name(client: str) -> str:
    if not client or client.startswith(".") or any(char in client for char in "/\\\0"):
        raise StorageError(f"client name {client!a} is no file name")
    return client
