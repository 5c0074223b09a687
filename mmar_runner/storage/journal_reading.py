# SPDX-License-Identifier: Apache-2.0
"""Reads a journal, open in this process, in another, or in none."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import DiskFullError, JournalError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

#: Rows after a number, in order.
SELECT = "SELECT seq, time, kind, data FROM events WHERE seq > ? ORDER BY seq"

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_MEND = "put the right file back, or begin another run with --new-run"
_PRIMARY_CODE = 0xFF  # the lower byte of SQLite's extended result codes


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """One record.

    Attributes:
        seq: Its number, from 1, without gaps.
        time: When it was appended, in seconds since 1970.
        kind: What it is.
        data: Its facts, a JSON object.
    """

    seq: int
    time: float
    kind: str
    data: Mapping[str, Any]


def read_events(path: Path, *, after: int = 0) -> list[JournalEvent]:
    """Return the events of a journal, in order.

    Args:
        path: The database; another process may have it open.
        after: Only events with a larger number.

    Raises:
        JournalError: There is no journal, or it cannot be read.
    """
    with _reading(path) as connection:
        rows = connection.execute(SELECT, (after,)).fetchall()
    return [_event(path, *row) for row in rows]


def count_events(path: Path) -> int:
    """Return how many events a journal has.

    Raises:
        JournalError: There is no journal, or it cannot be read.
    """
    with _reading(path) as connection:
        (last,) = connection.execute("SELECT max(seq) FROM events").fetchone()
    return last or 0


def stream_events(
    path: Path, *, passed_over: Callable[[str], bool] = lambda _: False
) -> Iterator[JournalEvent]:
    """Yield the events of a journal, in order; memory does not grow with their number.

    Args:
        path: The database; another process may have it open.
        passed_over: Is asked of every event by its kind; one of which it says True is neither
            parsed, which is what takes the time, nor yielded.

    Raises:
        JournalError: There is no journal, or it cannot be read; events before what cannot be
            read were yielded.
    """
    with _reading(path) as connection:
        for seq, time, kind, data in connection.execute(SELECT, (0,)):
            if not passed_over(kind):
                yield _event(path, seq, time, kind, data)


def _event(path: Path, seq: Any, time: Any, kind: Any, data: Any) -> JournalEvent:
    """Return the event in a row: SQLite keeps no column to its type."""
    try:
        facts = json.loads(data)
    except (ValueError, TypeError, RecursionError) as error:
        raise JournalError(f"{path}: event {seq} holds no JSON: {error}", hint=_MEND) from error
    if not (isinstance(facts, dict) and isinstance(time, float) and isinstance(kind, str)):
        raise JournalError(f"{path}: event {seq} is no record of this program", hint=_MEND)
    return JournalEvent(seq, time, kind, facts)


def read_blob(path: Path, seq: int) -> bytes:
    """Return the bytes kept with an event.

    Raises:
        JournalError: There are none, or they cannot be read.
    """
    with _reading(path) as connection:
        row = connection.execute("SELECT blob FROM events WHERE seq = ?", (seq,)).fetchone()
    if row is None or row[0] is None:
        raise JournalError(f"{path}: event {seq} has no bytes")
    return bytes(row[0])


def journal_error(error: sqlite3.Error, path: Path) -> StorageError:
    """Translate an error of SQLite; a full disk becomes DiskFullError."""
    code = getattr(error, "sqlite_errorcode", 0)
    # Growing the log's index fails in its own way, for the same reason.
    if code & _PRIMARY_CODE == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return DiskFullError(f"{path}: {error}", hint="free space on that disk")
    damaged = code & _PRIMARY_CODE in _DAMAGED
    return JournalError(f"{path}: {error}", hint=_MEND if damaged else None)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise JournalError(f"{path}: there is no journal")
    try:
        with closing(sqlite3.connect(path)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise journal_error(error, path) from error
