# SPDX-License-Identifier: Apache-2.0
"""A model that was damaged while the server was away: the run goes back, loudly, and ends well."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.server.records.replay import replay
from mmar_runner.server.rounds.closing import RoundCloser
from mmar_runner.storage.journal import read_events
from mmar_runner.storage.tensor_files import sha256_file
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.federation import Federation
from mmar_runner.testing.processes import RunningClient, RunningServer, free_port
from mmar_runner_echo.trainer import EchoTrainer
from tests.e2e.test_run_server import ECHO, events, model_hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROUNDS = 4
VARIABLES = {"NUM_ROUNDS": ROUNDS, "MIN_NUM_CLIENTS": 2, "MODEL_MB": 0.5, "SECONDS": 0.1}
NAMES = ("site-1", "site-2")


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The models of a run without faults."""
    folder = tmp_path_factory.mktemp("calm")
    with RunningServer(ECHO, folder / "ws", variables=VARIABLES) as server, ExitStack() as stack:
        address = server.address()
        for name in NAMES:
            stack.enter_context(
                RunningClient(ECHO, address, name, folder / "c", variables=VARIABLES)
            )
        assert server.wait() == 0
    return model_hashes(server.summary())


class Scene:
    """A run that was killed in the middle; its clients wait for the server to come back."""

    def __init__(self, folder: Path, stack: ExitStack, *options: str) -> None:
        self.workspace = folder / "ws"
        self.models = self.workspace / "run_1" / "models"
        self._options = options
        self._stack = stack
        self._listen = f"127.0.0.1:{free_port()}"
        server = self.serve()
        address = server.address()
        self.clients = [
            stack.enter_context(
                RunningClient(ECHO, address, name, folder / "c", variables=VARIABLES)
            )
            for name in NAMES
        ]
        server.wait_for(Topic.UPDATE_ACCEPTED, round=1)
        server.kill()

    def serve(self) -> RunningServer:
        """Start the server, again."""
        return self._stack.enter_context(
            RunningServer(
                ECHO, self.workspace, *self._options, variables=VARIABLES, listen=self._listen
            )
        )

    def newest(self) -> Path:
        """Return the model that the journal says the run is to go on with."""
        journal = read_events(self.workspace / "run_1" / "journal.db")
        return self.model(replay(journal).round)

    def model(self, number: int) -> Path:
        return self.models / f"round_{number:04d}.safetensors"


@pytest.fixture
def scene(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(tmp_path, stack, *getattr(request, "param", ()))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def remove(path: Path) -> None:
    path.unlink()


def check_end(scene: Scene, server: RunningServer, calm: list[str], lost: int) -> dict[str, Any]:
    """Check that the run went back from a model, ended well, and return its summary."""
    assert server.wait() == 0, server.stderr
    assert [running.wait() for running in scene.clients] == [0, 0]
    summary = server.summary()
    assert model_hashes(summary) == calm
    assert [entry["round"] for entry in summary["rounds"]] == list(range(ROUNDS))
    assert all(len(entry["contributions"]) == 2 for entry in summary["rounds"])
    (event,) = events(scene.workspace, "checkpoint_lost")
    assert event["data"]["round"] == lost
    assert [entry["round"] for entry in summary["models_lost"]] == [lost]
    (told,) = server.observations(Topic.MODEL_LOST)
    assert told["expected"] == calm[lost - 1]
    audit = (scene.workspace / "audit.jsonl").read_text()
    for text in (told["message"], server.stderr):
        assert f"round_{lost:04d}.safetensors" in text
        assert calm[lost - 1][:12] in text
        assert f"round {lost - 1} is done again" in text
    assert '"action":"model.lost"' in audit
    assert "Traceback" not in server.stderr
    return summary


@pytest.mark.parametrize(
    ("damage", "scene"),
    [(flip, ()), (truncate, ("--keep-models", "all")), (remove, ("--durability", "process"))],
    indirect=["scene"],
    ids=["flip", "truncate", "remove"],
)
def test_a_run_goes_back_when_its_newest_model_is_damaged(
    calm: list[str], damage: Callable[[Path], None], scene: Scene
) -> None:
    newest = scene.newest()
    lost = int(newest.stem[-4:])
    damage(newest)
    found = None if damage is remove else sha256_file(newest)
    server = scene.serve()
    check_end(scene, server, calm, lost)
    (told,) = server.observations(Topic.MODEL_LOST)
    assert told["reason"] == ("missing" if damage is remove else "damaged")
    aside = newest.with_suffix(".damaged")
    assert aside.exists() == (damage is not remove)
    if found is not None:
        assert told["found"] == found == sha256_file(aside)


def test_a_damaged_model_without_one_before_it_is_refused(scene: Scene) -> None:
    newest = scene.newest()
    before = scene.model(int(newest.stem[-4:]) - 1)
    for path in (newest, before):
        flip(path)
    server = scene.serve()
    assert server.wait() == 1
    for path in (newest, before):
        assert path.name in server.stderr
        assert path.exists()
    assert "--new-run" in server.stderr
    assert "Traceback" not in server.stderr
    assert events(scene.workspace, "checkpoint_lost") == []


@pytest.mark.parametrize("size_mb", [0.01, 0.5], ids=["in the journal", "in the spool"])
def test_updates_that_are_still_there_are_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size_mb: float
) -> None:
    """A server may end when a round's result is on record, and its updates not yet deleted."""
    mmar = (
        MmarBuilder()
        .server(num_rounds=12)
        .model_persistor("EchoModelPersistor", size_mb=size_mb)
        .write(tmp_path)
    )
    trainers = {name: Noting() for name in NAMES}
    more: dict[str, Any] = {"workspace": tmp_path / "ws", "trainers": trainers}
    with monkeypatch.context() as patched:
        patched.setattr(RoundCloser, "_delete", lambda *_: None)
        with Federation(mmar, **more) as federation:
            federation.serve()
            for name in NAMES:
                federation.join(name)
            federation.server.wait_for(Topic.ROUND_FINISHED, round=1)
            federation.stop()
    run = tmp_path / "ws" / "run_1"
    before = replay(read_events(run / "journal.db"))
    flip(run / "models" / f"round_{before.round:04d}.safetensors")
    again = before.round - 1
    for trainer in trainers.values():
        trainer.rounds.clear()

    with Federation(mmar, **more) as federation:
        outcome = federation.run()

    assert outcome.status == "finished"
    (told,) = federation.server.all(Topic.MODEL_LOST)
    assert told.data["kept"] == list(NAMES)
    assert "with the kept updates of site-1, site-2" in told.data["message"]
    for trainer in trainers.values():
        assert again not in trainer.rounds
    done = outcome.summary["rounds"][: len(before.known_past.results)]
    assert [entry["model_sha256"] for entry in done] == before.known_past.results
    assert [len(entry["contributions"]) for entry in outcome.summary["rounds"]] == [2] * 12


class Noting(EchoTrainer):
    """Notes the rounds that it trained."""

    def __init__(self) -> None:
        super().__init__(0.5)
        self.rounds: list[int] = []

    def train(self, task: Any) -> Any:
        self.rounds.append(task.round)
        return super().train(task)


class Held(EchoTrainer):
    """Does not come to the end of round 1 before it may."""

    def __init__(self, may: threading.Event) -> None:
        super().__init__(0.5)
        self._may = may

    def train(self, task: Any) -> Any:
        if task.round == 1:
            self._may.wait(timeout=30)
        return super().train(task)


def test_an_accepted_update_that_is_gone_is_asked_for_again(tmp_path: Path) -> None:
    mmar = (
        MmarBuilder()
        .server(num_rounds=3)
        .model_persistor("EchoModelPersistor", size_mb=0.5)
        .write(tmp_path)
    )
    may = threading.Event()
    trainers = {"site-1": EchoTrainer(0.5), "site-2": Held(may)}
    more: dict[str, Any] = {"workspace": tmp_path / "ws", "trainers": trainers}
    with Federation(mmar, **more) as federation:
        federation.serve()
        for name in NAMES:
            federation.join(name)
        federation.server.wait_for(Topic.UPDATE_ACCEPTED, round=1, client="site-1")
        federation.stop()
        may.set()
    (tmp_path / "ws/run_1/updates/round_0001/site-1.safetensors").unlink()
    with Federation(mmar, **more) as federation:
        outcome = federation.run()
    assert outcome.status == "finished"
    assert federation.server.all(Topic.UPDATE_REFUSED, client="site-1", reason="UPDATE_LOST")
    rounds = outcome.summary["rounds"]
    assert [len(entry["contributions"]) for entry in rounds] == [2, 2, 2]
    assert [entry["client"] for entry in rounds[1]["rejected"]] == ["site-1"]
