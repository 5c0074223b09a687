# SPDX-License-Identifier: Apache-2.0
"""A journal whose disk is full waits, and loses and moves nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue

import pytest

from mmar_runner.errors import DiskFullError, JournalError, StorageError
from mmar_runner.storage.journal import Journal, read_events


def test_a_full_disk_refuses_those_appends_and_takes_later_ones(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("a", {}).result()
        pages = journal._table._connection.execute("PRAGMA page_count").fetchone()[0]
        journal._table._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(DiskFullError):
            journal.append("too large", {}, blob=bytes(100_000)).result()
        journal._table._connection.execute("PRAGMA max_page_count = 1000000")
        assert journal.append("b", {}, blob=bytes(100_000)).result() == 2
        assert [e.kind for e in journal.events()] == ["a", "b"]


class FullDisk:
    """Bounds a journal's database, as a full disk would, and notes what it tells."""

    def __init__(self, journal: Journal) -> None:
        self._connection = journal._table._connection
        self.told: SimpleQueue[StorageError | None] = SimpleQueue()
        journal.append("first", {}).result()
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        self._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        journal.wait_for_space(self.told.put)

    def free(self) -> None:
        self._connection.execute("PRAGMA max_page_count = 1000000")


def test_a_full_disk_is_waited_out_and_nothing_is_lost_or_moved(path: Path) -> None:
    with Journal(path) as journal:
        disk = FullDisk(journal)
        large = journal.append("large", {}, blob=bytes(100_000))
        assert isinstance(disk.told.get(timeout=10), DiskFullError)
        small = journal.append("small", {})
        with pytest.raises(TimeoutError):
            small.result(timeout=0.1)
        disk.free()
        assert (large.result(timeout=10), small.result(timeout=10)) == (2, 3)
        assert disk.told.get(timeout=10) is None
        assert [e.kind for e in journal.events()] == ["first", "large", "small"]
        assert disk.told.empty()


@pytest.mark.parametrize("end", [Journal.hurry, Journal.close])
def test_a_full_disk_is_not_waited_for_once_the_journal_is_to_end(
    path: Path, end: Callable[[Journal], None]
) -> None:
    with Journal(path) as journal:
        disk = FullDisk(journal)
        large = journal.append("large", {}, blob=bytes(100_000))
        disk.told.get(timeout=10)
        end(journal)
        with pytest.raises(DiskFullError):
            large.result(timeout=10)
    assert [e.kind for e in read_events(path)] == ["first"]


def test_nothing_is_on_record_that_follows_what_was_refused(path: Path) -> None:
    """A round that closed, refused for once, was followed by what was accepted in the next."""
    with Journal(path) as journal:
        journal.wait_for_space(lambda _: None)
        journal.append("round 0 is open", {}).result()
        rename(path, "events", "away")
        refused = journal.append("round 0 is closed", {})
        with pytest.raises(JournalError, match="no such table"):
            refused.result(timeout=10)
        rename(path, "away", "events")
        later = journal.append("accepted in round 1", {})
        with pytest.raises(JournalError, match="no such table"):
            later.result(timeout=10)
    assert [e.kind for e in read_events(path)] == ["round 0 is open"]
    with Journal(path) as journal:
        assert journal.append("resumed", {}).result() == 2


def rename(database: Path, before: str, after: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"ALTER TABLE {before} RENAME TO {after}")
