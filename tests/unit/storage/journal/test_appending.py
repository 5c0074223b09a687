# SPDX-License-Identifier: Apache-2.0
"""The journal: what was acknowledged stays, in order, and many appends are one write."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import Future, wait
from pathlib import Path

import pytest

from mmar_runner.errors import JournalError
from mmar_runner.storage import journal_table
from mmar_runner.storage.durability import Durability
from mmar_runner.storage.journal import Journal, read_events


@pytest.fixture(params=list(Durability))
def durability(request: pytest.FixtureRequest) -> Durability:
    return Durability(request.param)


def test_events_come_back_in_order_with_their_facts(path: Path, durability: Durability) -> None:
    times = iter([1.5, 2.5])
    with Journal(path, durability=durability, clock=lambda: next(times)) as journal:
        first = journal.append("round_opened", {"round": 0, "clients": ["é", "b"]})
        second = journal.append("update_accepted", {"client": "b"}, blob=b"\x00\xff")
        assert (first.result(), second.result()) == (1, 2)
        events = journal.events()
        assert [(e.seq, e.time, e.kind) for e in events] == [
            (1, 1.5, "round_opened"),
            (2, 2.5, "update_accepted"),
        ]
        assert events[0].data == {"round": 0, "clients": ["é", "b"]}
        assert journal.blob(2) == b"\x00\xff"
    assert read_events(path) == events
    assert read_events(path, after=1) == events[1:]


def test_it_goes_on_after_it_was_closed(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("a", {}).result()
    with Journal(path) as journal:
        assert journal.append("b", {}).result() == 2
        assert [e.kind for e in journal.events()] == ["a", "b"]


def test_closing_writes_what_was_appended(path: Path) -> None:
    journal = Journal(path)
    pending = [journal.append("a", {"n": n}) for n in range(3000)]
    journal.close()
    journal.close()
    assert [future.result(0) for future in pending] == list(range(1, 3001))
    assert [e.data["n"] for e in read_events(path)] == list(range(3000))
    with pytest.raises(JournalError, match="is closed"):
        journal.append("late", {})


def test_many_threads_get_a_number_each(path: Path) -> None:
    futures: list[Future[int]] = []

    def append(thread: int) -> None:
        futures.extend([journal.append("a", {"thread": thread, "n": n}) for n in range(100)])

    with Journal(path) as journal:
        threads = [threading.Thread(target=append, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait(futures)
    assert sorted(future.result() for future in futures) == list(range(1, 801))
    events = read_events(path)
    for thread_number in range(8):
        own = [e.data["n"] for e in events if e.data["thread"] == thread_number]
        assert own == list(range(100))


def test_appends_that_wait_together_are_one_transaction(path: Path) -> None:
    commits = 0

    def count(statement: str) -> None:
        nonlocal commits
        commits += statement == "COMMIT"

    with Journal(path) as journal:
        started, go = threading.Event(), threading.Event()
        journal._table._connection.set_trace_callback(count)

        def hold(_: Future[int]) -> None:
            started.set()
            go.wait(10)

        journal.append("first", {}).add_done_callback(hold)
        started.wait(10)
        rest = [journal.append("a", {"n": n}) for n in range(500)]
        go.set()
        wait(rest)
    assert commits == 2


def test_an_append_cannot_be_cancelled(path: Path) -> None:
    async def give_up() -> None:
        waiting = asyncio.wrap_future(journal.append("a", {}))
        waiting.cancel()
        await asyncio.sleep(0)

    with Journal(path) as journal:
        asyncio.run(give_up())
        assert journal.append("b", {}).result() == 2


def test_what_is_no_number_becomes_null(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("a", {"m": {"x": float("nan"), "y": [float("inf"), 1.5]}}).result()
        assert journal.events()[0].data == {"m": {"x": None, "y": [None, 1.5]}}
        with pytest.raises(JournalError, match="no JSON object"):
            journal.append("a", {"m": object()})


def test_blobs_are_dropped_and_events_stay(path: Path) -> None:
    with Journal(path) as journal:
        for n in range(4):
            journal.append("a", {"n": n}, blob=bytes([n]))
        assert journal.drop_blobs(3).result() == 2
        assert journal.blob(3) == b"\x02"
        for seq in (1, 2, 99):
            with pytest.raises(JournalError, match=f"event {seq} has no bytes"):
                journal.blob(seq)
        assert len(journal.events()) == 4


def test_the_blob_of_one_event_alone_is_dropped(path: Path) -> None:
    with Journal(path) as journal:
        for n in range(4):
            journal.append("a", {"n": n}, blob=bytes([n]))
        assert journal.drop_blobs(3, from_seq=2).result() == 1
        assert (journal.blob(1), journal.blob(3)) == (b"\x00", b"\x02")
        with pytest.raises(JournalError, match="event 2 has no bytes"):
            journal.blob(2)


_CHILD = """
import sys
from pathlib import Path
from mmar_runner.storage.durability import Durability
from mmar_runner.storage.journal import Journal
folder = Path(sys.argv[1])
journal = Journal(folder / "journal.db", durability=Durability(sys.argv[2]),
                  projection=folder / "events.jsonl")
n = 0
while True:
    batch = [journal.append("a", {"n": n + i}, blob=b"x" * 1000) for i in range(7)]
    n += 7
    for future in batch:
        print(future.result(), flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, durability: Durability) -> None:
    command = [sys.executable, "-c", _CHILD, str(tmp_path), durability]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(300)]
        child.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in child.stdout.read().splitlines(keepends=True)[:-1]]
    with Journal(tmp_path / "journal.db", projection=tmp_path / "events.jsonl") as journal:
        events = journal.events()
        assert [e.seq for e in events] == list(range(1, len(events) + 1))
        assert len(events) >= acknowledged[-1] >= 300
        assert journal.blob(acknowledged[-1]) == b"x" * 1000
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [e.seq for e in events]


def test_what_a_killed_process_had_written_is_synced_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability
) -> None:
    """It may have been killed between the two, and whoever reads it calls it durable."""
    command = [sys.executable, "-c", _CHILD, str(tmp_path), Durability.FULL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.kill()
    synced: list[str] = []
    monkeypatch.setattr(journal_table, "sync_file", lambda path: synced.append(path.name))
    Journal(tmp_path / "journal.db", durability=durability).close()
    assert synced == (["journal.db-wal"] if durability is Durability.FULL else [])


def test_a_file_that_is_no_journal_is_refused(path: Path) -> None:
    path.write_bytes(b"no database at all, " * 100)
    with pytest.raises(JournalError, match=r"journal\.db"):
        Journal(path)
    with pytest.raises(JournalError):
        read_events(path)


def test_a_missing_journal_is_not_made_by_reading(path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        read_events(path)
    assert not path.exists()


def test_a_folder_that_is_missing_is_a_journal_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError):
        Journal(tmp_path / "nowhere" / "journal.db")


def test_another_program_may_hold_the_database_for_a_moment(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("a", {}).result()
        other = sqlite3.connect(path)
        other.execute("BEGIN IMMEDIATE")
        pending = journal.append("b", {})
        other.rollback()
        other.close()
        assert pending.result(10) == 2
