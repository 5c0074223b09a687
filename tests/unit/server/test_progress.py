# SPDX-License-Identifier: Apache-2.0
"""The server knows how far a client is: bytes of its transfers, steps of its trainer."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult, TrainTask
from mmar_runner.interfaces.observer import Topic
from mmar_runner.server.members.registry import ClientRegistry
from mmar_runner.server.status.status import StatusFile
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.federation import Federation

Seen = list[tuple[str, int, int, str]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """What the registry noted, in order."""
    noted: Seen = []
    note = ClientRegistry.progress

    def noting(registry: ClientRegistry, name: str, done: int, total: int, unit: Any) -> None:
        note(registry, name, done, total, unit)
        client = registry.known(name)
        assert client is not None
        assert client.progress == {"done": done, "total": total, "unit": unit}
        noted.append((name, done, total, unit))

    monkeypatch.setattr(ClientRegistry, "progress", noting)
    return noted


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once the steps of `Walker` stand in ``status.json``, where everybody can see them."""
    there, write = threading.Event(), StatusFile._write

    def writing(status: StatusFile, facts: Any) -> None:
        write(status, facts)
        if {"done": 3, "total": 7, "unit": "steps"} in [
            one["progress"] for one in json.loads(status._path.read_text())["clients"]
        ]:
            there.set()

    monkeypatch.setattr(StatusFile, "_write", writing)
    return there


class Walker(ClientTrainer):
    """Tells of a step, and goes on once everybody can see it."""

    def __init__(self, told: threading.Event) -> None:
        self._told = told

    def train(self, task: TrainTask) -> TrainResult:
        task.progress(3, 7)
        seen = self._told.wait(20)
        task.update.write_bytes(task.model.read_bytes())
        return TrainResult(1, metrics={"seen": float(seen)})


def test_steps_travel_with_the_next_heartbeat(
    tmp_path: Path, seen: Seen, told: threading.Event
) -> None:
    mmar = MmarBuilder().server(heart_beat_timeout=1, num_rounds=1).write(tmp_path)
    values = {"MIN_NUM_CLIENTS": 1}
    with Federation(
        mmar,
        workspace=tmp_path / "ws",
        clients=1,
        variables=values,
        trainers=lambda _: Walker(told),
    ) as federation:
        assert federation.run().status == "finished"
        shown = [one.data for one in federation.server.all(Topic.CLIENT_STATE)]
        trained = [one.data for one in federation.server.all(Topic.UPDATE_ACCEPTED)]
    assert ("site-1", 3, 7, "steps") in seen
    assert {"client": "site-1", "state": "training", "step": 3, "steps": 7} in shown
    assert [one["metrics"]["seen"] for one in trained] == [1.0]


def test_bytes_of_models_and_updates_are_noted(tmp_path: Path, seen: Seen) -> None:
    builder = MmarBuilder().server(num_rounds=1)
    mmar = builder.model_persistor("EchoModelPersistor", size_mb=3).write(tmp_path)
    with Federation(mmar, workspace=tmp_path / "ws", clients=2) as federation:
        assert federation.run().status == "finished"
    for name in ("site-1", "site-2"):
        done = [(done, total) for client, done, total, _ in seen if client == name]
        assert {total for _, total in done} == {done[0][1]}
        down = [first for first, _ in done]
        assert down.count(done[0][1]) >= 1, "the whole model"
        assert down != sorted(down), "and the update after it"
