# SPDX-License-Identifier: Apache-2.0
"""What a run is at, read by somebody who was not there: the journal says it, if need be."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.documents.schema_store import load_schema
from mmar_runner.errors import StorageError, UsageError
from mmar_runner.federation.client_status import ClientStatus
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.server.records.record import Kind
from mmar_runner.server.records.workspace import RunFolder
from mmar_runner.server.status.status_reading import read_status
from mmar_runner.server.wording import utc
from mmar_runner.storage.journal import Journal

STARTED = {"digest": "d", "seed": 1, "round": 0, "model_sha256": "m"}
NOON = "2026-11-28T12:00:00Z"
ENDED = {"status": "finished", "reason": "", "wall_seconds": 1.0}


def closed(number: int) -> dict[str, Any]:
    summary = {"round": number, "model_sha256": f"m{number}"}
    return {"round": number, "summary": summary, "wall_seconds": 1.0}


def write(run: RunFolder, *, age: float = 0.0, **facts: Any) -> None:
    """Write a ``status.json`` of some seconds ago, which says that round 0 is under way."""
    missing = {"name": "a", "since": NOON}
    client = {**missing, "state": "training", "round": 0, "last_heard": NOON, "progress": None}
    status = {"status": "running", "reason": "", "run_number": 1, "num_rounds": 9, "round": 0}
    status |= {"waiting_for": "a", "since": NOON, "clients": [client], "missing": [missing]}
    status |= {"pid": 1, "updated": utc(time.time() - age), **facts}
    run.status.write_text(json.dumps(status))


def serve(run: RunFolder, *, age: float) -> None:
    """Make it look as if this process had been its server for some seconds."""
    endpoint = run.path.parent / "endpoint.json"
    endpoint.write_text(json.dumps({"listen": "127.0.0.1:1", "admin": None, "pid": os.getpid()}))
    os.utime(endpoint, (time.time() - age,) * 2)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr("mmar_runner.server.status.status_reading._serves", lambda _: True)
    folder = RunFolder(tmp_path / "run_1", 1)
    folder.path.mkdir()
    return folder


def record(run: RunFolder, *events: tuple[Kind, dict[str, Any]]) -> None:
    journal = Journal(run.journal)
    for kind, data in ((Kind.RUN_STARTED, STARTED), *events):
        journal.append(kind, data).result(10)
    journal.close()


def test_of_a_server_that_is_gone_the_journal_knows_the_round(run: RunFolder) -> None:
    record(run, (Kind.ROUND_CLOSED, closed(0)), (Kind.ROUND_CLOSED, closed(1)))
    write(run)
    status = read_status(run.path.parent)
    assert (status.run["round"], status.run["num_rounds"], status.resumable) == (2, 9, True)
    assert (status.run["waiting_for"], status.run["clients"], status.note) == ("", [], "")


def test_a_run_whose_end_is_on_record_is_not_to_be_resumed(run: RunFolder) -> None:
    record(run, (Kind.ROUND_CLOSED, closed(0)), (Kind.RUN_ENDED, ENDED))
    write(run)
    status = read_status(run.path.parent)
    assert (status.run["status"], status.resumable) == ("finished", False)
    assert status.run["round"] == 0  # its last: none opens next


def test_of_a_run_that_has_ended_the_results_are_named(run: RunFolder) -> None:
    record(run, (Kind.ROUND_CLOSED, closed(0)), (Kind.RUN_ENDED, ENDED))
    write(run)
    assert read_status(run.path.parent).results is None
    entry = {"round": 0, "seconds": 1.0, "contributions": [], "rejected": []}
    entry |= {"metrics": {"val_auc": 0.9}, "model_sha256": "0" * 64}
    summary = {"status": "finished", "reason": "", "run_number": 1, "rounds": [entry]}
    summary |= {"mmar": {"name": "m", "digest": "0" * 64}, "peak_rss_bytes": 1}
    summary |= {"final_model": "models/final.safetensors", "wall_seconds": 2.5}
    summary |= {"best_round": None, "best_model": None, "models_lost": []}
    run.summary.write_text(json.dumps(summary))
    assert read_status(run.path.parent).results == {
        "folder": str(run.path),
        "rounds": 1,
        "metrics": {"val_auc": 0.9},
        "final_model": str(run.models / "final.safetensors"),
        "best_round": None,
        "best_model": None,
        "wall_seconds": 2.5,
        "aggregation": {},
    }
    run.summary.write_text(json.dumps({**summary, "rounds": [{}]}))
    assert read_status(run.path.parent).results is None


def test_why_a_run_was_stopped_is_forgotten_once_it_was_resumed(run: RunFolder) -> None:
    record(run, (Kind.RUN_ENDED, {**ENDED, "status": "stopped", "reason": "enough"}))
    assert read_status(run.path.parent).run["reason"] == "enough"
    journal = Journal(run.journal)
    journal.append(Kind.RUN_RESUMED, {}).result(10)
    journal.close()
    assert read_status(run.path.parent).run["reason"] == ""


@pytest.mark.parametrize("garbage", ["{", "[]", "{}", '{"status": "running", "round": "x"}'])
@pytest.mark.parametrize("alive", [True, False])
def test_a_status_that_is_garbage_is_made_up_for_by_the_journal(
    run: RunFolder, garbage: str, *, alive: bool
) -> None:
    record(run, (Kind.ROUND_CLOSED, closed(0)))
    run.status.write_text(garbage)
    if alive:
        serve(run, age=0)
    status = read_status(run.path.parent)
    assert (status.run["round"], status.run["status"]) == (1, "running")
    assert "what is shown is from the journal" in status.note


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"status": "finishd"}, "status"),
        ({"clients": [1]}, "clients/0"),
        ({"clients": [{"name": "a"}]}, "clients/0"),
        ({"missing": [{"since": None}]}, "missing/0"),
        ({"updated": "yesterday"}, "updated"),
        ({"run_number": 0}, "run_number"),
    ],
)
def test_a_status_that_says_what_none_says_is_not_believed(
    run: RunFolder, facts: dict[str, Any], word: str
) -> None:
    record(run, (Kind.ROUND_CLOSED, closed(0)))
    write(run, **facts)
    serve(run, age=0)
    status = read_status(run.path.parent)
    assert (status.run["round"], status.run["clients"]) == (1, [])
    assert f"status.json cannot be read: {word}: " in status.note


def test_words_that_were_read_are_members_and_keys_of_a_later_version_stay(run: RunFolder) -> None:
    write(run, later=1)
    serve(run, age=0)
    facts = read_status(run.path.parent).run
    assert facts["status"] is RunStatus.RUNNING
    assert facts["clients"][0]["state"] is ClientStatus.TRAINING
    assert dict(facts) == json.loads(run.status.read_text())


@pytest.mark.parametrize(
    "summary",
    [{"status": "over"}, {"rounds": [3]}, {"rounds": {"a": 1}}, {"rounds": [{"round": "x"}]}],
)
def test_a_summary_that_is_garbage_is_a_sentence(run: RunFolder, summary: dict[str, Any]) -> None:
    run.summary.write_text(json.dumps(summary))
    with pytest.raises(StorageError, match=r"summary\.json cannot be read: "):
        read_status(run.path.parent)


def test_the_schema_knows_what_a_client_may_be_at() -> None:
    client = load_schema("run_status")["properties"]["clients"]["items"]["properties"]
    assert set(client["state"]["enum"]) == set(ClientStatus) - {ClientStatus.UNKNOWN}


def test_without_a_journal_what_was_written_last_is_shown_and_said_to_be(run: RunFolder) -> None:
    write(run, round=3)
    assert (read_status(run.path.parent).run["round"], read_status(run.path.parent).note) == (3, "")
    run.journal.write_bytes(b"garbage" * 1000)
    status = read_status(run.path.parent)
    assert status.run["round"] == 3
    assert "may be behind" in status.note
    run.status.write_text("{")
    with pytest.raises(StorageError) as caught:
        read_status(run.path.parent)
    assert caught.value.hint


def test_a_server_that_writes_nothing_is_said_to_be_silent(run: RunFolder) -> None:
    write(run, age=15)
    serve(run, age=60)
    silent = read_status(run.path.parent).silent_seconds
    assert silent is not None
    assert 14 < silent < 30
    serve(run, age=1)
    assert read_status(run.path.parent).silent_seconds is None, "it has just come up"
    serve(run, age=60)
    write(run)
    assert read_status(run.path.parent).silent_seconds is None


def test_other_folders_of_this_program_are_told_apart(run: RunFolder, tmp_path: Path) -> None:
    record(run)
    with pytest.raises(UsageError, match="is a run's folder") as caught:
        read_status(run.path)
    assert caught.value.hint == f"mmar-runner status {run.path.parent}"
    site = tmp_path / "clients" / "site-1"
    site.mkdir(parents=True)
    (site / "session.key").write_bytes(b"k")
    for folder in (site, site.parent):
        with pytest.raises(UsageError, match="is a client's workspace"):
            read_status(folder)
