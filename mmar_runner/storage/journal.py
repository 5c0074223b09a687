# SPDX-License-Identifier: Apache-2.0
"""The journal of a run: every decision, in order, written by one thread in groups.

The thread takes whatever has been appended meanwhile, writes it in one transaction and
then resolves all those futures: a thousand appends at once cost about as much as a few. In a
run that goes on, a full disk is waited out: what was appended stays in its order until it can
be written; and nothing is written that follows what was refused, since no decision is on
record without those before it. ``events.jsonl`` is a projection for people and programs that
read along; the table is the truth.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Self

from mmar_runner.errors import DiskFullError, JournalError, StorageError
from mmar_runner.storage.durability import Durability
from mmar_runner.storage.filesystems import require_local
from mmar_runner.storage.journal_reading import JournalEvent, read_blob, read_events
from mmar_runner.storage.journal_table import (
    Change,
    DroppedBlobs,
    JournalTable,
    NewEvent,
    encoded,
)
from mmar_runner.storage.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

__all__ = ["Journal", "JournalEvent", "read_events"]

_log = logging.getLogger(__name__)

#: Changes that are written in one transaction at most.
_BATCH_MAX: Final = 1024
#: How often what a full disk refused is tried again, in seconds.
_AGAIN_SECONDS: Final = 1.0


def _future() -> Future[int]:
    """Return a future that cannot be cancelled: what was appended is going to be written."""
    future: Future[int] = Future()
    future.set_running_or_notify_cancel()
    return future


@dataclass(frozen=True, slots=True)
class _Work:
    """A change, and what resolves once it is written."""

    change: Change
    done: Future[int] = field(default_factory=_future)


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
        self._table = JournalTable(path, durability)
        last = self._table.last_seq
        self._projection = None if projection is None else Projection(projection, last)
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
        return self._put(NewEvent(self._clock(), str(kind), encoded(data), blob))

    def drop_blobs(self, before_seq: int, *, from_seq: int = 0) -> Future[int]:
        """Remove the blobs of all events before one, which are no longer needed.

        Args:
            before_seq: That one's number.
            from_seq: The first whose blob is to go.

        Returns:
            How many there were, once they are gone.
        """
        return self._put(DroppedBlobs(before_seq, from_seq))

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
        self._table.close()
        if self._projection is not None:
            self._projection.close()

    def _put(self, change: Change) -> Future[int]:
        work = _Work(change)
        with self._closing:
            if self._closed:
                raise JournalError(f"{self.path} is closed")
            self._queue.put(work)
        return work.done

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
                if self._in_a_run and any(isinstance(work.change, NewEvent) for work in batch):
                    self._refusal = error
                _refuse(batch, error)
            if told:
                self._tell(None)

    def _store(self, batch: list[_Work]) -> StorageError | None:
        """Write all of a batch and resolve its futures; or none of it, and say why."""
        try:
            results = self._table.write([work.change for work in batch])
        except StorageError as error:
            return error
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

    def _project(self) -> None:
        """Bring the projection up to the table; if it cannot be written, later."""
        projection = self._projection
        if projection is None or projection.last_seq >= self._table.last_seq:
            return
        try:
            projection.write(self._table.rows_after(projection.last_seq))
        except StorageError as error:
            if self._projects:  # once, until it has caught up
                _log.warning("the journal's projection is behind: %s", error)
            self._projects = False
        else:
            self._projects = True


def _refuse(batch: list[_Work], error: StorageError) -> None:
    for work in batch:
        work.done.set_exception(error)


def _nobody(_error: StorageError | None) -> None:
    """Tell nobody."""
