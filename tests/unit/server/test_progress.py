# SPDX-License-Identifier: Apache-2.0
"""The server knows how far a client is: bytes of its transfers, steps of its trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult, TrainTask
from mmar_runner.server.registry import ClientRegistry
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.federation import Federation

Seen = list[tuple[str, int, int, str]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """What the registry noted, in order."""
    noted: Seen = []
    note = ClientRegistry.progress

    def noting(
        registry: ClientRegistry, name: str, done: int, total: int, unit: Any, *, now: float
    ) -> None:
        note(registry, name, done, total, unit, now=now)
        client = registry.known(name)
        assert client is not None
        assert client.progress == {"done": done, "total": total, "unit": unit, "at": now}
        noted.append((name, done, total, unit))

    monkeypatch.setattr(ClientRegistry, "progress", noting)
    return noted


class Walker(ClientTrainer):
    """Tells of a step, and goes on once the server has heard of it."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def train(self, task: TrainTask) -> TrainResult:
        import time

        task.progress(3, 7)
        deadline = time.monotonic() + 20
        while ("site-1", 3, 7, "steps") not in self._seen and time.monotonic() < deadline:
            time.sleep(0.01)
        task.update.write_bytes(task.model.read_bytes())
        return TrainResult(1)


def test_steps_travel_with_the_next_heartbeat(tmp_path: Path, seen: Seen) -> None:
    mmar = MmarBuilder().server(heart_beat_timeout=1, num_rounds=1).write(tmp_path)
    values = {"MIN_NUM_CLIENTS": 1}
    with Federation(
        mmar,
        workspace=tmp_path / "ws",
        clients=1,
        variables=values,
        trainers=lambda _: Walker(seen),
    ) as federation:
        assert federation.run().status == "finished"
    assert ("site-1", 3, 7, "steps") in seen


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
