# SPDX-License-Identifier: Apache-2.0
"""A journal with the production journal's interface and promises, without SQLite.

SQLite writes by itself, where no test can step in between; so this stands in for it, and
the production journal has tests of its own. Appends are committed together after a while,
in order; only then their futures resolve. What dies with its process is an end of what was
not committed: any beginning of it may have been. A disk without space refuses a commit as a
whole; in a run, what follows an append that was refused is refused, too.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import DiskFullError, JournalError, StorageError
from mmar_runner.server.records.record import Kind
from mmar_runner.storage.atomic import sync_folder, translated
from mmar_runner.storage.durability import Durability
from mmar_runner.storage.journal_reading import JournalEvent
from tests.simulated_world.live import Mirror

if TYPE_CHECKING:
    from tests.simulated_world.world import World

#: How often what a full disk refused is tried again, in seconds.
_AGAIN = 1.0


@dataclass
class Records:
    """What is on the disk.

    Attributes:
        events: What is durable, in order.
        durable_at: Since when each of them is, on the world's clock.
        blobs: The bytes kept with events, by number.
        ended: How the run has ended for good, ``finished`` or ``failed``; empty before.
    """

    ended: str = ""
    events: list[JournalEvent] = field(default_factory=list)
    durable_at: list[float] = field(default_factory=list)
    blobs: dict[int, bytes] = field(default_factory=dict)


def _nobody(_error: StorageError | None) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class _Work:
    apply: Callable[[], int]
    done: Future[int]
    is_append: bool


class _Recorded(Future[int]):
    """A future for which a caller may wait: then the commit comes at once."""

    def __init__(self, commit: Callable[[], None]) -> None:
        super().__init__()
        self._commit = commit

    def result(self, timeout: float | None = None) -> int:
        if not self.done():
            self._commit()
        return super().result(timeout)


class SimulatedJournal:
    """An open journal; see `mmar_runner.storage.journal.Journal`.

    Args:
        world: Where it lives.
        path: A file that stands for it.
        durability: Whether a new one is synced.
    """

    def __init__(self, world: World, path: Path, durability: Durability) -> None:
        self._world = world
        self.path = path
        process = world.current
        assert process is not None
        self._process = process
        journals = process.disk.journals
        if not path.exists():
            journals.pop(str(path), None)
            with translated(path):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))
            if durability is Durability.FULL:
                sync_folder(path.parent)
        self._records: Records = journals.setdefault(str(path), Records())
        process.disk.journal = self._records
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Work] = []
        self._closed = False
        self._tell: Callable[[StorageError | None], None] = _nobody
        self._waits = self._told = self._in_a_run = False
        self._refusal: DiskFullError | None = None
        self.mirror = Mirror(self._records.events, self._differs)
        process.at_death.append(self._died)

    def append(
        self, kind: str, data: Mapping[str, Any], *, blob: bytes | None = None
    ) -> Future[int]:
        """Append an event; the future gives its number once it is durable."""
        kept, time = json.loads(json.dumps(dict(data))), self._world.now

        def apply() -> int:
            seq = len(self._records.events) + 1
            self._records.events.append(JournalEvent(seq, time, str(kind), kept))
            self._records.durable_at.append(self._world.now)
            if blob is not None:
                self._records.blobs[seq] = blob
            if kind == Kind.RUN_ENDED and kept["status"] != "stopped":
                self._records.ended = kept["status"]
            return seq

        self._world.action(f"append {kind}")
        future = self._put(apply, is_append=True)
        self.mirror.append(kind, kept)
        self._loop.call_soon(self.mirror.compare)
        self._world.action(f"append {kind}, done")
        return future

    def drop_blobs(self, before_seq: int, *, from_seq: int = 0) -> Future[int]:
        """Remove the bytes of all events before one, from another on."""

        def apply() -> int:
            old = [seq for seq in self._records.blobs if from_seq <= seq < before_seq]
            for seq in old:
                del self._records.blobs[seq]
            return len(old)

        return self._put(apply, is_append=False)

    def wait_for_space(self, tell: Callable[[StorageError | None], None]) -> None:
        """Keep what a full disk refuses, from now on, and try until it can be written."""
        self._tell, self._waits, self._in_a_run = tell, True, True

    def hurry(self) -> None:
        """Wait no longer: what cannot be written is refused."""
        self._waits = False

    def events(self) -> list[JournalEvent]:
        """Return all events that are durable."""
        return list(self._records.events)

    def blob(self, seq: int) -> bytes:
        """Return the bytes kept with an event."""
        if seq not in self._records.blobs:
            raise JournalError(f"{self.path}: event {seq} has no bytes")
        return self._records.blobs[seq]

    def close(self) -> None:
        """Commit what was appended, then close; a full disk is not waited for."""
        self._waits = False
        self._commit()
        self._closed = True

    def _put(self, apply: Callable[[], int], *, is_append: bool) -> Future[int]:
        if self._closed:
            raise JournalError(f"{self.path} is closed")
        future = _Recorded(self._commit)
        future.set_running_or_notify_cancel()
        if not self._waiting:
            pause = self._world.rng.uniform(0, self._world.weather.journal)
            self._loop.call_later(pause, self._commit)
        self._waiting.append(_Work(apply, future, is_append))
        return future

    def _commit(self) -> None:
        if not self._waiting or self._closed:
            return
        if self._refusal is not None or self._process.disk.full:
            self._refuse(self._refusal or DiskFullError(f"{self.path}: no space is left"))
            return
        self._world.action("commit")
        batch, self._waiting = self._waiting, []
        before = len(self._records.events)
        results = [work.apply() for work in batch]
        self._world.note("journal", [event.kind for event in self._records.events[before:]])
        self._world.action("commit, done")
        for work, result in zip(batch, results, strict=True):
            work.done.set_result(result)
        self._say(None)

    def _refuse(self, error: DiskFullError) -> None:
        if self._waits and self._refusal is None:
            self._say(error)
            self._loop.call_later(_AGAIN, self._commit)
            return
        batch, self._waiting = self._waiting, []
        if self._in_a_run and any(work.is_append for work in batch):
            self._refusal = error  # nothing is on record that follows what is not
        for work in batch:
            work.done.set_exception(error)
        self._say(None)

    def _differs(self, difference: str) -> None:
        if self._process.alive:
            self._world.differences.append(f"at {self._world.now:.3f} s {difference}")

    def _say(self, error: StorageError | None) -> None:
        if (error is not None) != self._told:
            self._told = not self._told
            self._tell(error)

    def _died(self) -> None:
        """Commit a beginning of what waits: the thread that commits may have been on its way."""
        taken = self._waiting if self._refusal is None else []
        for work in taken[: self._world.rng.randint(0, len(taken))]:
            work.apply()
        self._waiting = []
        self._closed = True
