# SPDX-License-Identifier: Apache-2.0
"""A journal whose records were damaged says so, with the place and a mend."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from mmar_runner.errors import JournalError
from mmar_runner.server.records.replay import replay
from mmar_runner.storage.journal import Journal
from mmar_runner.storage.journal_reading import read_events

_STARTED = {"digest": "d", "seed": 1, "round": 0, "model_sha256": "x"}


def _journal(folder, column, value):
    path = folder / "journal.db"
    with Journal(path) as journal:
        journal.append("run_started", _STARTED).result()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE events SET {column} = ?", (value,))  # noqa: S608 - our own
    return path


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("data", "{"),
        ("data", "[]"),
        ("data", b"\xff"),
        ("data", "[" * 20_000),
        ("data", 7),
        ("time", "yesterday"),
    ],
)
def test_what_is_no_record_is_named(tmp_path, column, value) -> None:
    path = _journal(tmp_path, column, value)

    with pytest.raises(JournalError, match="event 1") as caught:
        read_events(path)

    assert str(path) in caught.value.message
    assert "--new-run" in caught.value.hint


@pytest.mark.parametrize("data", ["{}", '{"digest": "d", "seed": 1, "round": 0}'])
def test_a_record_that_lacks_something_is_named(tmp_path, data) -> None:
    path = _journal(tmp_path, "data", data)

    with pytest.raises(JournalError, match="event 1, run_started, cannot be understood") as caught:
        replay(read_events(path))

    assert "--new-run" in caught.value.hint
