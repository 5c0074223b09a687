# SPDX-License-Identifier: Apache-2.0
"""Going back one model, on files that a test damages."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmar_runner.errors import DigestError, StorageError
from mmar_runner.server.records.checkpoints import Checkpoints
from mmar_runner.server.records.models import ModelStore
from mmar_runner.server.records.record import Kind
from mmar_runner.server.records.replay import closed_rounds, replay
from mmar_runner.server.records.run_record import RunRecord
from mmar_runner.server.records.run_state import RunState
from mmar_runner.server.records.workspace import RunFolder
from mmar_runner.storage.journal import Journal
from mmar_runner.storage.spool import update_path
from mmar_runner.storage.tensor_files import TensorWriter, sha256_file
from tests.updates import accepted

CLOSED = 3


class Run:
    """A run whose rounds 0 to 2 are closed: round 3 is to go on with, all models are there."""

    def __init__(self, path: Path, *, best: int | None = None, keeps: bool = False) -> None:
        self.folder = RunFolder(path, 1)
        for folder in (self.folder.models, self.folder.updates):
            folder.mkdir(parents=True)
        self.digests = [self._model(number) for number in range(CLOSED + 1)]
        self.states = [self._kept(number) if keeps else "" for number in range(1, CLOSED + 1)]
        self.journal = Journal(self.folder.journal)
        self.add(
            Kind.RUN_STARTED,
            {"digest": "d", "epoch": "e", "seed": 1, "round": 0, "model_sha256": self.digests[0]},
        )
        for number in range(CLOSED):
            for client in ("site-1", "site-2"):
                self.accept(
                    client, number, f"{client} {number}".encode(), inline=client == "site-1"
                )
            self.close_round(number, best)

    def _model(self, number: int) -> str:
        with TensorWriter(self.folder.model(number), [("w", "F32", (2,))]) as writer:
            writer.write("w", np.array([number, 1], dtype=np.float32))
            return writer.commit()

    def _kept(self, number: int) -> str:
        path = self.folder.server_state(number)
        path.write_bytes(b"what is kept for round %d" % number)
        return sha256_file(path)

    def add(self, kind: Kind, data: dict[str, Any], blob: bytes | None = None) -> int:
        return self.journal.append(kind, data, blob=blob).result()

    def accept(self, client: str, number: int, data: bytes, *, inline: bool) -> None:
        digest = sha256(data).hexdigest()
        update = accepted(client, number, sha256=digest, bytes=len(data), inline=inline)
        if not inline:
            path = update_path(self.folder.updates, number, client)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        self.add(Kind.UPDATE_ACCEPTED, update.to_json(), data if inline else None)

    def close_round(self, number: int, best: int | None = None) -> None:
        summary = {"round": number, "model_sha256": self.digests[number + 1]}
        record: dict[str, Any] = {"round": number, "summary": summary, "wall_seconds": 1.0}
        if self.states[number]:
            record["state_sha256"] = self.states[number]
        if best is not None and number <= best:
            record["best"] = {"round": number, "score": float(number)}
        self.add(Kind.ROUND_CLOSED, record)
        if best == number:
            self.models.publish(number + 1, "best")

    @property
    def models(self) -> ModelStore:
        return ModelStore(self.folder, keep=2)

    def resumed(self) -> Checkpoints:
        """Return what a server that starts now sees."""
        return Checkpoints(self.folder, RunRecord(self.journal, self.state()), self.models)

    def state(self) -> RunState:
        return replay(self.journal.events())

    def flip(self, number: int) -> None:
        path = self.folder.model(number)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.models.iterdir())


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path / "run_1")
    yield run
    run.journal.close()


def test_a_whole_model_is_gone_on_with(run: Run) -> None:
    model, schema, lost = run.resumed().current()
    assert (model.sha256, lost) == (run.digests[3], None)
    assert dict(schema.tensors) == {"w": ("F32", (2,))}


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_the_round_before_is_done_again(run: Run, damage: str) -> None:
    path = run.folder.model(3)
    match damage:
        case "flipped":
            run.flip(3)
        case "truncated":
            path.write_bytes(path.read_bytes()[:-3])
        case "missing":
            path.unlink()
    for number in range(CLOSED):
        update_path(run.folder.updates, number, "site-2").unlink()
    run.journal.drop_blobs(1000).result()

    checkpoints = run.resumed()
    model, _, lost = checkpoints.current()

    assert model.sha256 == run.digests[2]
    assert lost is not None
    assert (lost.round, lost.kept) == (3, ())
    assert lost.reason == ("missing" if damage == "missing" else "damaged")
    assert (run.folder.models / "round_0003.damaged").exists() == (damage != "missing")
    assert not path.exists()
    for state in (checkpoints.state, run.state()):
        assert (state.round, state.model_sha256) == (2, run.digests[2])
        assert state.known_past.results == run.digests[1:3]
        assert (state.accepted, state.last_round) == ({}, {})
        assert state.epoch not in {"", "e"}
        assert state.lost == [lost]
    assert [entry["round"] for entry in closed_rounds(run.journal.events())] == [0, 1]


def test_what_was_accepted_for_the_lost_model_counts_no_more(run: Run) -> None:
    run.accept("site-1", 3, b"new", inline=True)
    run.flip(3)
    run.resumed().current()
    state = run.state()
    assert set(state.accepted) == {"site-1", "site-2"}  # those of round 2, which are still there
    assert state.last_round == {"site-1": 2, "site-2": 2}


def test_updates_that_are_still_there_are_aggregated_again(run: Run) -> None:
    update_path(run.folder.updates, 2, "site-2").write_bytes(b"others")
    run.flip(3)
    _, _, lost = run.resumed().current()
    assert lost is not None
    assert lost.kept == ("site-1",)
    state = run.state()
    assert list(state.accepted) == ["site-1"]
    assert state.last_round == {"site-1": 2}
    run.accept("site-2", 2, b"site-2 2", inline=False)
    assert set(run.state().accepted) == {"site-1", "site-2"}


def test_two_damaged_models_are_an_error_that_names_both(run: Run) -> None:
    run.flip(3)
    run.flip(2)
    before = len(run.journal.events())
    with pytest.raises(DigestError) as refused:
        run.resumed().current()
    assert "round_0003" in refused.value.message
    assert "round_0002" in refused.value.message
    assert "--new-run" in (refused.value.hint or "")
    assert len(run.journal.events()) == before
    assert "round_0003.damaged" not in run.names()


def test_the_model_to_begin_with_has_none_before_it(tmp_path: Path) -> None:
    run = Run.__new__(Run)
    run.folder = RunFolder(tmp_path / "run_1", 1)
    run.folder.models.mkdir(parents=True)
    run.digests = [run._model(0)]
    run.states = [""]
    run.journal = Journal(run.folder.journal)
    started = {"digest": "d", "seed": 1, "round": 0, "model_sha256": run.digests[0]}
    run.add(Kind.RUN_STARTED, started)
    run.folder.model(0).unlink()
    with run.journal, pytest.raises(StorageError, match=r"round_0000\.safetensors is missing"):
        run.resumed().current()


def test_a_server_that_ended_in_the_middle_of_going_back_goes_on_with_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.flip(3)
    damaged = sha256_file(run.folder.model(3))
    with monkeypatch.context() as patched:
        patched.setattr(ModelStore, "put_aside", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            run.resumed().current()
    model, _, lost = run.resumed().current()
    assert (model.sha256, lost) == (run.digests[2], None)
    assert sha256_file(run.folder.models / "round_0003.damaged") == damaged
    assert len(run.state().lost) == 1


def test_a_model_can_be_lost_twice(run: Run) -> None:
    for times in (1, 2):
        run.flip(3)
        run.resumed().current()
        assert len(run.state().lost) == times
        run.digests[3] = run._model(3)
        run.close_round(2)
    names = [name for name in run.names() if "damaged" in name]
    assert names == ["round_0003.damaged", "round_0003.damaged-2"]
    assert run.resumed().current()[0].sha256 == run.digests[3]


def test_the_same_round_can_be_gone_back_from_before_it_is_closed_again(run: Run) -> None:
    run.flip(3)
    run.resumed().current()
    run.flip(2)
    model, _, lost = run.resumed().current()
    assert lost is not None
    assert (model.sha256, lost.round, lost.kept) == (run.digests[1], 2, ())
    state = run.state()
    assert (state.round, state.last_round, state.accepted) == (1, {}, {})


def test_a_model_that_may_not_be_read_is_not_lost(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> str:
        raise StorageError(f"{path}: Permission denied") from PermissionError()

    monkeypatch.setattr("mmar_runner.server.records.model_file.sha256_file", refused)
    with pytest.raises(StorageError, match="may not be read"):
        run.resumed().current()
    assert run.state().lost == []


# What an aggregator keeps beside a model


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path / "run_1", keeps=True)
    yield run
    run.journal.close()


def test_a_whole_state_is_gone_on_with(keeping: Run) -> None:
    _, _, lost = keeping.resumed().current()
    assert lost is None
    assert keeping.state().state_sha256 == keeping.states[-1]


@pytest.mark.parametrize("damage", ["state", "model"])
def test_a_damaged_state_is_as_bad_as_a_damaged_model(keeping: Run, damage: str) -> None:
    folder = keeping.folder
    path = folder.server_state(3) if damage == "state" else folder.model(3)
    path.write_bytes(b"other")
    model, _, lost = keeping.resumed().current()
    assert lost is not None
    assert (lost.round, lost.file, lost.reason) == (3, path.name, "damaged")
    assert path.with_suffix(".damaged").exists()
    assert model.sha256 == keeping.digests[2]
    state = keeping.state()
    assert (state.round, state.state_sha256) == (2, keeping.states[1])


def test_a_state_that_is_lost_with_the_one_before_it_is_refused(keeping: Run) -> None:
    for number in (2, 3):
        keeping.folder.server_state(number).unlink()
    with pytest.raises(StorageError, match="the aggregator's state of round 3") as refused:
        keeping.resumed().current()
    assert "state_0002" in refused.value.message


def test_a_run_that_goes_back_to_its_first_round_finds_nothing_kept(keeping: Run) -> None:
    for number in (3, 2, 1):
        keeping.folder.server_state(number).unlink()
        keeping.resumed().current()
        state = keeping.state()
        assert state.round == number - 1
        assert state.state_sha256 == (keeping.states[number - 2] if number > 1 else "")


# The best one


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path / "run_1", best=2)
    yield run
    run.journal.close()


def test_a_best_model_whose_round_is_done_again_is_not_the_best_any_more(judged: Run) -> None:
    judged.flip(3)  # the same file as best.safetensors
    checkpoints = judged.resumed()
    checkpoints.current()
    lost = checkpoints.best()
    assert lost is not None
    assert lost.reason == "undone"
    for state in (checkpoints.state, judged.state()):
        assert state.best == (1, 1.0)
    assert sha256_file(judged.folder.models / "best.safetensors") == judged.digests[2]
    assert "best.damaged" in judged.names()
    assert judged.resumed().best() is None


def test_without_an_older_one_there_is_no_best_model(judged: Run) -> None:
    for number in (3, 1):
        judged.flip(number)
    judged.folder.model(1).unlink()
    checkpoints = judged.resumed()
    checkpoints.current()
    judged.flip(2)
    judged.folder.model(2).unlink()
    assert checkpoints.best() is not None
    assert judged.state().best is None
    assert "best.safetensors" not in judged.names()
    assert judged.resumed().best() is None


def test_a_damaged_best_model_is_replaced_by_the_file_of_its_round(judged: Run) -> None:
    best = judged.folder.models / "best.safetensors"
    best.unlink()
    best.write_bytes(b"others")
    assert judged.resumed().best() is None
    assert sha256_file(best) == judged.digests[3]


def test_a_name_that_a_crash_left_ungiven_is_given(judged: Run) -> None:
    """The record comes first, so a server may have ended before the link."""
    best = judged.folder.models / "best.safetensors"
    best.unlink()
    assert judged.resumed().best() is None
    assert sha256_file(best) == judged.digests[3]


# Updates


@pytest.mark.parametrize("damage", ["missing", "short", "torn", "none"])
def test_an_accepted_update_that_is_gone_counts_no_more(run: Run, damage: str) -> None:
    run.accept("site-1", 3, b"inline", inline=True)
    run.accept("site-2", 3, b"spooled", inline=False)
    path = update_path(run.folder.updates, 3, "site-2")
    match damage:
        case "missing":
            path.unlink()
        case "short":
            path.write_bytes(b"spoo")
        case "torn":
            path.write_bytes(b"spoo\0\0\0")
    lost = run.resumed().updates()
    is_lost = damage != "none"
    assert [one.client for one in lost] == (["site-2"] if is_lost else [])
    state = run.state()
    assert set(state.accepted) == ({"site-1"} if is_lost else {"site-1", "site-2"})
    assert ("site-2" in state.last_round) == (not is_lost)
    assert state.rejected == lost
