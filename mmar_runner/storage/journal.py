# SPDX-License-Identifier: Apache-2.0
"""The journal of a run: every decision, in order, in one SQLite table.

One thread writes. It takes whatever has been appended meanwhile, writes it in one
transaction and then resolves all those futures: a thousand appends at once cost about
as much as a few. In a run that goes on, a full disk is waited out: what was appended
stays in its order until it can be written; and nothing is written that follows what was
refused, since no decision is on record without those before it. ``events.jsonl`` is a
projection for people and programs that read along; the table is the truth.
"""

from __future__ import annotations

import json
import logging
import math
import sqlite3
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Self

from mmar_runner.errors import DiskFullError, JournalError, StorageError
from mmar_runner.storage.atomic import sync_file, sync_folder
from mmar_runner.storage.durability import Durability
from mmar_runner.storage.filesystems import require_local
from mmar_runner.storage.journal_reading import (
    SELECT,
    JournalEvent,
    journal_error,
    read_blob,
    read_events,
)
from mmar_runner.storage.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

__all__ = ["Journal", "JournalEvent", "read_events"]

_log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    blob BLOB
)
"""
_INSERT = "INSERT INTO events (seq, time, kind, data, blob) VALUES (?, ?, ?, ?, ?)"
_DROP = "UPDATE events SET blob = NULL WHERE seq < ? AND blob IS NOT NULL"
_BATCH_MAX = 1024
# A checkpoint copies the log's pages into the database and syncs; rarely is enough.
_CHECKPOINT_PAGES = 4096
_BUSY_MILLISECONDS = 5000
#: How often what a full disk refused is tried again, in seconds.
_AGAIN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Append:
    time: float
    kind: str
    data: str
    blob: bytes | None
    done: Future[int]


@dataclass(frozen=True, slots=True)
class _DropBlobs:
    before_seq: int
    done: Future[int]


_Work = _Append | _DropBlobs


class Journal:
    """An open journal; one process at a time has it.

    Args:
        path: The database, normally ``run_<N>/journal.db``; its folder exists.
        durability: What an append survives once its future is resolved.
        projection: Where to write one JSON line per event; None for nowhere.
        clock: Seconds since 1970.

    Raises:
        JournalError: On a network file system, open elsewhere, or not a journal.
        DiskFullError: No space is left.
        StorageError: The projection cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        durability: Durability = Durability.PROCESS,
        projection: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        require_local(path.parent)
        self.path = path
        self._clock = clock
        try:
            self._connection = _connect(path, durability)
            (last,) = self._connection.execute("SELECT max(seq) FROM events").fetchone()
        except sqlite3.Error as error:
            raise journal_error(error, path) from error
        self._seq = int(last or 0)
        self._projection = None if projection is None else Projection(projection, self._seq)
        self._projects = True
        self._project()
        self._closing = threading.Lock()
        self._closed = False
        self._tell: Callable[[StorageError | None], None] = _nobody
        self._hurry = threading.Event()
        self._hurry.set()
        self._in_a_run = False
        self._refusal: StorageError | None = None
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Return the journal."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def append(
        self, kind: str, data: Mapping[str, Any], *, blob: bytes | None = None
    ) -> Future[int]:
        """Append an event; events are numbered in the order of these calls.

        Args:
            kind: What it is.
            data: A JSON object; NaN and infinities become null.
            blob: Bytes to keep with it.

        Returns:
            The event's number, once it is as durable as the journal was opened for.
            Raises DiskFullError or JournalError instead if it could not be written.

        Raises:
            JournalError: The journal is closed, or ``data`` is no JSON object.
        """
        done = _future()
        self._put(_Append(self._clock(), str(kind), _encoded(data), blob, done))
        return done

    def drop_blobs(self, before_seq: int) -> Future[int]:
        """Remove the blobs of all events before one, which are no longer needed.

        Returns:
            How many there were, once they are gone.
        """
        done = _future()
        self._put(_DropBlobs(before_seq, done))
        return done

    def wait_for_space(self, tell: Callable[[StorageError | None], None]) -> None:
        """From now on keep what a full disk refuses, and try until it can be written.

        Until this is called, and after `hurry`, such an append is refused at once. Once it
        was called, whatever follows an append that was refused is refused, too.

        Args:
            tell: Called in the journal's thread: with the error when it begins to wait,
                and with None when that is over.
        """
        self._tell = tell
        self._in_a_run = True
        self._hurry.clear()

    def hurry(self) -> None:
        """Wait no longer: what cannot be written now is refused, and so is what follows."""
        self._hurry.set()

    def events(self) -> list[JournalEvent]:
        """Return all events that are durable, in order.

        Raises:
            JournalError: They cannot be read.
        """
        return read_events(self.path)

    def blob(self, seq: int) -> bytes:
        """Return the bytes kept with an event.

        Raises:
            JournalError: There are none.
        """
        return read_blob(self.path, seq)

    def close(self) -> None:
        """Write what was appended, then close. A second call does nothing.

        A full disk is not waited for: what it refuses once more is refused.
        """
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._hurry.set()
        self._thread.join()
        self._project()
        self._connection.close()
        if self._projection is not None:
            self._projection.close()

    def _put(self, work: _Work) -> None:
        with self._closing:
            if self._closed:
                raise JournalError(f"{self.path} is closed")
            self._queue.put(work)

    def _run(self) -> None:
        while batch := self._next_batch():
            told = False
            while isinstance(error := self._refusal or self._store(batch), DiskFullError):
                if self._hurry.is_set():
                    break
                if not told:
                    self._tell(error)
                    told = True
                self._hurry.wait(_AGAIN_SECONDS)
            if error is not None:
                if self._in_a_run and any(isinstance(work, _Append) for work in batch):
                    self._refusal = error
                _refuse(batch, error)
            if told:
                self._tell(None)

    def _store(self, batch: list[_Work]) -> StorageError | None:
        """Write all of a batch and resolve its futures; or none of it, and say why."""
        before = self._seq
        try:
            with self._connection:  # commits, or rolls back
                results = [self._write(work) for work in batch]
        except sqlite3.Error as error:
            self._seq = before
            return journal_error(error, self.path)
        self._project()
        for work, result in zip(batch, results, strict=True):
            work.done.set_result(result)
        return None

    def _next_batch(self) -> list[_Work]:
        """Return all work that is there, waiting for some; nothing once it is closed."""
        batch: list[_Work] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == _BATCH_MAX or self._queue.empty():
                return batch
            item = self._queue.get()
        self._queue.put(None)
        return batch

    def _write(self, work: _Work) -> int:
        if isinstance(work, _DropBlobs):
            return self._connection.execute(_DROP, (work.before_seq,)).rowcount
        self._seq += 1
        row = (self._seq, work.time, work.kind, work.data, work.blob)
        self._connection.execute(_INSERT, row)
        return self._seq

    def _project(self) -> None:
        """Bring the projection up to the table; if it cannot be written, later."""
        if self._projection is None or self._projection.last_seq >= self._seq:
            return
        try:
            rows = self._connection.execute(SELECT, (self._projection.last_seq,))
            self._projection.write(rows)
        except (sqlite3.Error, StorageError) as error:
            if self._projects:  # once, until it has caught up
                _log.warning("the journal's projection is behind: %s", error)
            self._projects = False
        else:
            self._projects = True


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


def _refuse(batch: list[_Work], error: StorageError) -> None:
    for work in batch:
        work.done.set_exception(error)


def _nobody(_error: StorageError | None) -> None:
    """Tell nobody."""


def _future() -> Future[int]:
    """Return a future that cannot be cancelled: what was appended is going to be written."""
    future: Future[int] = Future()
    future.set_running_or_notify_cancel()
    return future


def _encoded(data: Mapping[str, Any]) -> str:
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
