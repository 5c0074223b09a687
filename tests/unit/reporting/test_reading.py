# SPDX-License-Identifier: Apache-2.0
"""Damaged and missing files: what can be read is shown, the rest is named."""

from __future__ import annotations

import json
import shutil

import pytest

from mmar_runner.errors import ReportError
from mmar_runner.reporting.cross_site import read_matrices
from mmar_runner.reporting.locating import find_run
from mmar_runner.reporting.reading import read_history
from mmar_runner.storage.journal_reading import read_events
from tests.unit.reporting.written_runs import troubled_run, written

SITES = ("site-1", "site-2")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "ws" / "run_1"
    with written(folder) as run:
        run.start()
        run.register(*SITES)
        for number in range(40):
            run.round(number, SITES)
        run.end()
    return folder


def project(folder):
    lines = [
        json.dumps({"seq": e.seq, "time": e.time, "kind": e.kind, "data": dict(e.data)})
        for e in read_events(folder / "journal.db")
    ]
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n")
    return lines


def read(folder):
    notes: list[str] = []
    return read_history(folder, notes), notes


def test_without_a_journal_the_projection_is_read(folder):
    project(folder)
    (folder / "journal.db").unlink()
    history, notes = read(folder)
    assert len(history.rounds) == 40
    assert "there is no journal.db" in notes
    assert "events.jsonl was read in place of the journal" in notes


def test_a_torn_or_foreign_line_is_counted_and_the_rest_is_read(folder):
    lines = project(folder)
    (folder / "journal.db").unlink()
    foreign = ["", "[]", '{"seq": 1}', "\x00", lines[-1][: len(lines[-1]) // 2]]
    (folder / "events.jsonl").write_text("\n".join([*lines[:-1], *foreign]))
    history, notes = read(folder)
    assert len(history.rounds) == 40
    assert history.status == "running"
    assert any("5 events of" in note for note in notes)


def test_a_journal_that_is_damaged_in_the_middle_is_read_as_far_as_it_goes(folder):
    data = bytearray((folder / "journal.db").read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 8192] = b"\xff" * 8192
    (folder / "journal.db").write_bytes(data)
    history, notes = read(folder)
    assert any(note.startswith("journal.db could not be read to its end") for note in notes)
    assert history.events < 170


def test_a_damaged_journal_gives_way_to_a_whole_projection(folder):
    project(folder)
    (folder / "journal.db").write_bytes(b"no database at all, but a few letters" * 200)
    history, notes = read(folder)
    assert len(history.rounds) == 40
    assert "events.jsonl was read in place of the journal" in notes


def test_a_summary_alone_is_better_than_nothing(folder):
    contribution = {"client": "site-1", "num_samples": 3, "weight": 3, "bytes": 10}
    contribution |= {"seconds_train": None, "seconds_upload": 0.1}
    one = {"round": 0, "seconds": 1.0, "contributions": [contribution], "rejected": []}
    one |= {"metrics": {"auc": 0.5}, "model_sha256": None}
    summary = {"status": "failed", "reason": "why", "run_number": 3, "wall_seconds": 2}
    summary |= {"mmar": {"name": "m", "digest": "d"}, "rounds": [one, {"round": "x"}, None]}
    summary |= {"peak_rss_bytes": 1 << 20}
    (folder / "journal.db").unlink()
    (folder / "summary.json").write_text(json.dumps(summary))
    history, notes = read(folder)
    assert (history.status, history.run_number, history.mmar) == ("failed", 3, "m")
    assert [one.metrics for one in history.rounds] == [{"auc": 0.5}]
    assert history.odd == 2
    assert history.peak_rss_bytes == 1 << 20
    assert any("summary.json alone" in note for note in notes)


@pytest.mark.parametrize("junk", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_summary_that_is_none_is_named(folder, junk):
    (folder / "journal.db").unlink()
    (folder / "summary.json").write_bytes(junk)
    history, notes = read(folder)
    assert not history.rounds
    assert any("summary.json" in note for note in notes)


def test_a_workspace_means_its_last_run(folder):
    with written(folder.with_name("run_12")) as run:
        run.start()
    assert find_run(folder.parent) == folder.with_name("run_12")
    assert find_run(folder) == folder


def test_what_is_no_run_is_refused_with_the_mend(tmp_path, folder):
    client = tmp_path / "client"
    (client / "run_1" / "trainer").mkdir(parents=True)
    (client / "session.key").write_text("k")
    (client / "run_1" / "run_id").write_text("r")
    shutil.copytree(client, tmp_path / "both" / "site-1")
    bare = tmp_path / "bare"
    (bare / "run_1" / "models").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    cases = {
        client: "is a client's",
        client.parent / "both": "is a client's",
        client / "run_1": "is a client's",
        tmp_path / "empty": "none lies in it",
        tmp_path / "nowhere": "is not there",
        folder / "journal.db": "is no folder",
        bare: "neither a journal nor a summary",
    }
    for path, words in cases.items():
        with pytest.raises(ReportError, match=words) as caught:
            find_run(path)
        assert caught.value.reason == "NOT_A_RUN"
        assert caught.value.exit_code == 1
        assert caught.value.hint
    with pytest.raises(ReportError) as caught:
        find_run(folder / "summary.json")
    assert caught.value.hint == f"mmar-runner report {folder}"


def test_a_matrix_is_sorted_and_shaded(tmp_path):
    troubled_run(tmp_path / "run_1")
    notes: list[str] = []
    (matrix,) = read_matrices(tmp_path / "run_1", notes)
    assert not notes
    assert matrix.sites == ("Charité", "site-2", "site-10")
    assert [owner for owner, _ in matrix.rows] == list(matrix.sites)
    assert (matrix.low, round(matrix.high, 6)) == (0.7, 1.0)
    assert matrix.rows[0][1][0].shade == 0
    assert matrix.rows[2][1][2].shade == 5


@pytest.mark.parametrize(
    "results", [[], {"a": 1}, {"a": {"b": 2}}, {"a": {"b": {"m": "x"}}}, {"a": {"b": {"m": None}}}]
)
def test_a_matrix_of_something_else_is_named(tmp_path, results):
    folder = tmp_path / "cross_site_validation"
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(results))
    notes: list[str] = []
    assert read_matrices(tmp_path, notes) == ()
    assert len(notes) == 1
