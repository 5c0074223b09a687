# SPDX-License-Identifier: Apache-2.0
"""A journal that is read event by event, by somebody who does not want all of them."""

from __future__ import annotations

import pytest

from mmar_runner.errors import JournalError
from mmar_runner.storage.journal import Journal, read_events
from mmar_runner.storage.journal_reading import count_events, stream_events


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "journal.db"
    with Journal(path) as journal:
        for at in range(6):
            journal.append("odd" if at % 2 else "even", {"at": at}).result()
    return path


def test_a_stream_gives_what_a_list_holds(path):
    assert list(stream_events(path)) == read_events(path)
    assert count_events(path) == 6


def test_what_is_passed_over_is_asked_for_by_its_kind_and_not_given(path):
    asked = []

    def passed_over(kind):
        asked.append(kind)
        return kind == "odd"

    assert [event.data["at"] for event in stream_events(path, passed_over=passed_over)] == [0, 2, 4]
    assert asked == ["even", "odd"] * 3


def test_a_journal_without_events_counts_none(tmp_path):
    with Journal(tmp_path / "journal.db"):
        pass
    assert count_events(tmp_path / "journal.db") == 0


@pytest.mark.parametrize("read", [count_events, lambda path: list(stream_events(path))])
def test_what_is_no_journal_is_refused(tmp_path, read):
    with pytest.raises(JournalError):
        read(tmp_path / "journal.db")
    (tmp_path / "journal.db").write_bytes(b"letters" * 2_000)
    with pytest.raises(JournalError):
        read(tmp_path / "journal.db")
