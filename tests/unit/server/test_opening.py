# SPDX-License-Identifier: Apache-2.0
"""What a server that ended while it prepared a run leaves, and what becomes of it."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mmar_runner.errors import DiskFullError, JournalError, UsageError
from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.observer import Topic
from mmar_runner.storage.journal import Journal
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.federation import Federation
from mmar_runner_echo.trainer import EchoTrainer


def job(folder: Path, **server: object) -> Path:
    return (
        MmarBuilder()
        .server(**{"num_rounds": 1, **server})
        .variables(FREE=1)
        .file("resources/notes.txt", str(server))
        .write(folder)
    )


def federation(mmar: Path, workspace: Path, **more: object) -> Federation:
    trainers = {"site-1": EchoTrainer(0.5)}
    return Federation(mmar, workspace=workspace, clients=1, trainers=trainers, **more)  # type: ignore[arg-type]


def no_journal(run: Path) -> None:
    for path in run.glob("journal.db*"):
        path.unlink()


def empty_journal(run: Path) -> None:
    no_journal(run)
    (run / "journal.db").touch()


def journal_without_events(run: Path) -> None:
    no_journal(run)
    Journal(run / "journal.db", projection=run / "events.jsonl").close()


def half_a_copy(run: Path) -> None:
    no_journal(run)
    (run / "mmar").rename(run / "mmar.part")
    (run / "mmar.part" / "config" / "config_fed_server.json").unlink()


def half_a_model(run: Path) -> None:
    no_journal(run)
    (run / "models" / "round_0000.safetensors").rename(run / "models" / "round_0000.part")


def nothing(run: Path) -> None:
    shutil.rmtree(run)
    run.mkdir()


@pytest.mark.parametrize(
    "leave",
    [no_journal, empty_journal, journal_without_events, half_a_copy, half_a_model, nothing],
)
def test_a_run_that_had_not_begun_is_prepared_anew(
    tmp_path: Path, leave: Callable[[Path], None]
) -> None:
    workspace = tmp_path / "ws"
    with federation(job(tmp_path / "old", num_rounds=7), workspace) as begun:
        begun.serve()
        begun.stop()
    run = workspace / "run_1"
    (run / "summary.json").unlink()
    leave(run)
    new = job(tmp_path / "new")
    with federation(new, workspace) as again:
        outcome = again.run()
    assert outcome.status == "finished"
    assert outcome.run_folder == run
    assert len(outcome.summary["rounds"]) == 1
    kept = (run / "mmar" / "resources" / "notes.txt").read_bytes()
    assert kept == (new / "resources" / "notes.txt").read_bytes()
    assert again.server.all(Topic.LISTENING)[0].data["before"] == ""


def test_a_run_whose_beginning_found_no_space_leaves_no_journal_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mmar, workspace = job(tmp_path), tmp_path / "ws"
    with monkeypatch.context() as full:
        full.setattr(Journal, "_store", lambda *_: DiskFullError("journal.db: full"))
        with federation(mmar, workspace) as refused, pytest.raises(DiskFullError):
            refused.serve()
    assert "journal" not in {thread.name for thread in threading.enumerate()}
    with federation(mmar, workspace) as again:
        assert again.run().run_folder == workspace / "run_1"


def test_a_new_run_that_is_asked_for_says_how_the_one_before_stands(tmp_path: Path) -> None:
    """A run that had failed was said to be left as it is, as if it could go on."""
    mmar, workspace = job(tmp_path), tmp_path / "ws"
    for before in ("", "left", "finished", "left"):
        with federation(mmar, workspace, new_run=True) as asked:
            asked.serve()
            if before == "left":
                asked.join("site-1")
                assert asked.wait().status == "finished"
            else:
                asked.stop()
        assert asked.server.all(Topic.LISTENING)[0].data["before"] == before
        if before == "finished":
            (workspace / "run_3" / "journal.db").write_bytes(b"damaged" * 999)


def test_a_finished_run_whose_journal_is_gone_is_stepped_over(tmp_path: Path) -> None:
    mmar, workspace = job(tmp_path), tmp_path / "ws"
    with federation(mmar, workspace) as first:
        finished = first.run().run_folder
    final = (finished / "models" / "final.safetensors").read_bytes()
    no_journal(finished)
    for file in ("summary.json", "events.jsonl"):
        (finished / file).unlink()
    with federation(mmar, workspace) as second:
        outcome = second.run()
    assert outcome.run_folder == workspace / "run_2"
    assert (finished / "models" / "final.safetensors").read_bytes() == final


def refusal(federation: Federation) -> str:
    with federation as other, pytest.raises(UsageError) as refused:
        other.serve()
    assert refused.value.reason == "RUN_DIFFERS"
    assert "--new-run" in (refused.value.hint or "")
    return refused.value.message


def test_what_differs_from_an_unfinished_run_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mmar, workspace = job(tmp_path / "one", num_rounds=3), tmp_path / "ws"
    with federation(mmar, workspace, variables={"FREE": 2}, seed=5) as begun:
        begun.serve()
        begun.stop()
    same = {"variables": {"FREE": 2}}
    with federation(mmar, workspace, **same) as again:
        again.serve()  # the seed is the run's own
        again.stop()

    said = refusal(federation(mmar, workspace, variables={"FREE": 3, "MIN_NUM_CLIENTS": 1}))
    assert "--set FREE: 3 instead of 2" in said
    assert "MIN_NUM_CLIENTS" not in said
    assert "MMAR" not in said
    assert "--seed 6 instead of 5" in refusal(federation(mmar, workspace, seed=6, **same))

    other = job(tmp_path / "two", num_rounds=4)
    (other / "resources" / "more.txt").write_text("more")
    said = refusal(federation(other, workspace, **same))
    assert "the MMAR has other files" in said
    assert "resources/more.txt" in said
    assert "config/config_fed_server.json" in said
    assert "--set" not in said


def test_a_journal_that_is_none_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    mmar, workspace = job(tmp_path), tmp_path / "ws"
    with federation(mmar, workspace) as begun:
        begun.serve()
        begun.stop()
    no_journal(workspace / "run_1")
    (workspace / "run_1" / "journal.db").write_bytes(b"torn" * 4096)
    with federation(mmar, workspace) as again, pytest.raises(JournalError) as refused:
        again.serve()
    assert "--new-run" in (refused.value.hint or "")


def unsettled(run: Path) -> None:
    """Take away the last events: as if the server had been killed during goodbyes."""
    with closing(sqlite3.connect(run / "journal.db")) as journal, journal:
        (ended,) = journal.execute("SELECT seq FROM events WHERE kind = 'run_ended'").fetchone()
        assert journal.execute("DELETE FROM events WHERE seq > ?", [ended]).rowcount


def test_a_run_whose_end_was_not_told_to_everybody_is_not_followed_yet(tmp_path: Path) -> None:
    mmar, workspace = job(tmp_path), tmp_path / "ws"
    with federation(mmar, workspace) as first:
        before = first.run()
    run = workspace / "run_1"
    unsettled(run)
    (run / "summary.json").unlink()
    for model in (run / "models").glob("round_*"):
        model.unlink()  # nothing of it is needed to tell how it ended
    with federation(mmar, workspace) as second:
        again = second.run()
    assert (again.run_folder, again.status) == (run, "finished")
    assert again.summary["rounds"] == before.summary["rounds"]
    assert again.summary["final_model"] == "models/final.safetensors"
    assert second.server.all(Topic.LISTENING)[0].data["ended"] == "finished"
    with federation(mmar, workspace) as third:
        assert third.run().run_folder == workspace / "run_2"


def test_the_end_of_what_is_not_run_any_more_is_not_told(tmp_path: Path) -> None:
    mmar, workspace = job(tmp_path), tmp_path / "ws"
    with federation(mmar, workspace) as first:
        first.run()
    unsettled(workspace / "run_1")
    with federation(mmar, workspace, variables={"FREE": 2}) as other:
        assert other.run().run_folder == workspace / "run_2"


@pytest.mark.parametrize("stray", ["empty", "never begun"])
def test_a_folder_in_which_no_run_has_begun_hides_none_that_is_unfinished(
    tmp_path: Path, stray: str
) -> None:
    """Such as what is left of a start with --new-run that was killed while it prepared one."""
    workspace, mmar = tmp_path / "ws", job(tmp_path, num_rounds=7)
    with federation(mmar, workspace) as begun:
        begun.serve()
        begun.stop()
    other = workspace / "run_7"
    if stray == "empty":
        other.mkdir()
    else:
        shutil.copytree(workspace / "run_1", other)
        no_journal(other)
        (other / "summary.json").unlink()
    with federation(mmar, workspace) as again:
        again.serve()
        assert again.server.all(Topic.LISTENING)[-1].data["run_number"] == 1
        assert again.server.all(Topic.LISTENING)[-1].data["resumed"]
        again.stop()


DROP_IN = """
from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.handler import Handler

class Bell(Handler):
    def handle_event(self, event):
        pass

@hookimpl
def mmar_register_components(registry):
    registry.add(kind="handler", name="Bell", target=":Bell")
"""


def with_bell(tmp_path: Path, plugins_dir: Path) -> Federation:
    mmar = MmarBuilder().server(num_rounds=3).handler("Bell").write(tmp_path / "rung")
    plugins = load_plugins(plugins_dir=plugins_dir)
    return federation(mmar, tmp_path / "ws", plugins=plugins)


@pytest.fixture
def drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a drop-in plugin, and an unfinished run that was begun with it."""
    monkeypatch.chdir(tmp_path)
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "bell.py").write_text(DROP_IN)
    with with_bell(tmp_path, Path("drop")) as begun:
        begun.serve()
        begun.stop()
    return drop


def test_a_drop_in_is_the_same_however_its_path_was_typed(tmp_path: Path, drop: Path) -> None:
    copy = shutil.copytree(drop, tmp_path / "elsewhere")
    for plugins_dir in (drop, drop / ".." / "drop", copy):
        with with_bell(tmp_path, plugins_dir) as again:
            again.serve()
            again.stop()


def test_a_drop_in_that_was_edited_is_another(tmp_path: Path, drop: Path) -> None:
    (drop / "bell.py").write_text(f"{DROP_IN}# louder\n")
    said = refusal(with_bell(tmp_path, drop))
    content = "content [0-9a-f]{12}"
    assert re.search(rf"plugin bell\.py: {content} instead of {content}$", said)

    (drop / "bell.py").write_text(DROP_IN)
    (drop / "_sound.py").write_text("VOLUME = 11\n")  # what a plugin may import
    assert "plugin bell.py: content" in refusal(with_bell(tmp_path, drop))


def test_a_run_whose_journal_knows_a_drop_in_by_its_path_goes_on(
    tmp_path: Path, drop: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "ws/run_1/journal.db")) as journal, journal:
        (seq, text) = journal.execute(
            "SELECT seq, data FROM events WHERE kind = 'run_started'"
        ).fetchone()
        facts = json.loads(text)
        facts["identity"]["plugins"]["drop/bell.py"] = ""
        del facts["identity"]["plugins"]["bell.py"]
        facts["digest"] = "0" * 64  # of those names, too
        journal.execute("UPDATE events SET data = ? WHERE seq = ?", [json.dumps(facts), seq])
    with with_bell(tmp_path, drop) as again:
        again.serve()
        again.stop()
    mmar = MmarBuilder().server(num_rounds=3).write(tmp_path / "silent")
    said = refusal(federation(mmar, tmp_path / "ws"))
    assert said.endswith("plugin bell.py: none instead of a file")
