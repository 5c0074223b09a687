# SPDX-License-Identifier: Apache-2.0
"""The table of a journal: SQLite's part of it, one transaction a batch.

Nothing here waits, retries or knows of threads; see `mmar_runner.storage.journal`, which
does, and `mmar_runner.storage.journal_reading`, which reads what was written.
"""

from __future__ import annotations

import json
import math
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from mmar_runner.errors import JournalError
from mmar_runner.storage.atomic import sync_file, sync_folder
from mmar_runner.storage.durability import Durability
from mmar_runner.storage.journal_reading import SELECT, journal_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    blob BLOB
)
"""
_INSERT: Final = "INSERT INTO events (seq, time, kind, data, blob) VALUES (?, ?, ?, ?, ?)"
_DROP: Final = "UPDATE events SET blob = NULL WHERE seq < ? AND seq >= ? AND blob IS NOT NULL"
# A checkpoint copies the log's pages into the database and syncs; rarely is enough.
_CHECKPOINT_PAGES: Final = 4096
_BUSY_MILLISECONDS: Final = 5000


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that has no number yet.

    Attributes:
        time: When it was appended, in seconds since 1970.
        kind: What it is.
        data: Its facts, as `encoded` gives them.
        blob: Bytes to keep with it.
    """

    time: float
    kind: str
    data: str
    blob: bytes | None


@dataclass(frozen=True, slots=True)
class DroppedBlobs:
    """The blobs of all events before a number, from another on, are no longer needed."""

    before_seq: int
    from_seq: int = 0


Change: TypeAlias = NewEvent | DroppedBlobs


class JournalTable:
    """An open table; used by one thread at a time.

    Args:
        path: The database; created if it is not there.
        durability: What a batch survives once it is written.

    Raises:
        JournalError: It is open elsewhere, or no journal, or its file system cannot have one.
        DiskFullError: No space is left.

    Attributes:
        last_seq: The number of the last event; 0 if there is none.
    """

    def __init__(self, path: Path, durability: Durability) -> None:
        self._path = path
        try:
            self._connection = _connect(path, durability)
            (last,) = self._connection.execute("SELECT max(seq) FROM events").fetchone()
        except sqlite3.Error as error:
            raise journal_error(error, path) from error
        self.last_seq = int(last or 0)

    def write(self, batch: Sequence[Change]) -> list[int]:
        """Write all of a batch, or none of it.

        Returns:
            For every event its number, and for dropped blobs how many there were.

        Raises:
            DiskFullError: No space is left.
            JournalError: It cannot be written.
        """
        before = self.last_seq
        try:
            with self._connection:  # commits, or rolls back
                return [self._write(change) for change in batch]
        except sqlite3.Error as error:
            self.last_seq = before
            raise journal_error(error, self._path) from error

    def rows_after(self, seq: int) -> Iterable[tuple[int, float, str, str]]:
        """Give number, time, kind and data of all events after one, in order.

        Raises:
            JournalError: They cannot be read.
        """
        try:
            rows = self._connection.execute(SELECT, (seq,))
            yield from rows
        except sqlite3.Error as error:
            raise journal_error(error, self._path) from error

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def _write(self, change: Change) -> int:
        if isinstance(change, DroppedBlobs):
            return self._connection.execute(_DROP, (change.before_seq, change.from_seq)).rowcount
        self.last_seq += 1
        row = (self.last_seq, change.time, change.kind, change.data, change.blob)
        self._connection.execute(_INSERT, row)
        return self.last_seq


def encoded(data: Mapping[str, Any]) -> str:
    """Return the facts of an event as JSON; NaN and infinities become null.

    Raises:
        JournalError: They are no JSON object.
    """
    try:
        return json.dumps(dict(data), separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(_finite(dict(data)), separators=(",", ":"), allow_nan=False)
    except TypeError as error:
        raise JournalError(f"the event is no JSON object: {error}") from error


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _connect(path: Path, durability: Durability) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        connection.close()
        raise JournalError(f"{path}: this file system does not support the journal")
    # Both survive the death of the process; FULL syncs the log before a commit returns.
    level = "FULL" if durability is Durability.FULL else "NORMAL"
    connection.execute(f"PRAGMA synchronous = {level}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
    with connection:
        connection.execute(_SCHEMA)
    if durability is Durability.FULL:
        # Also if it was there: whoever made it may not have come as far as this, and was killed
        # between a record's write and its sync. It is read, and told to be on the disk.
        log = path.with_name(f"{path.name}-wal")
        if log.exists():
            sync_file(log)
        sync_folder(path.parent)
    return connection
