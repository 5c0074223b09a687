# SPDX-License-Identifier: Apache-2.0
"""Nobody waits for a slow client, and what it sends at last counts, unless it is too old."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.builders import MmarBuilder, component
from mmar_runner.testing.federation import Federation
from mmar_runner_echo.trainer import EchoTrainer

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.client_trainer import TrainResult, TrainTask

ROUNDS = 6
#: The round in which the slow client's first update comes.
LATE = 3


class Held(EchoTrainer):
    """Does not come to the end of one round before it may."""

    def __init__(self, number: int) -> None:
        super().__init__(0.5)
        self._number = number
        self.may = threading.Event()
        self.rounds: list[int] = []

    def train(self, task: TrainTask) -> TrainResult:
        self.rounds.append(task.round)
        if task.round == self._number:
            assert self.may.wait(timeout=30)
        return super().train(task)


def run(folder: Path, max_staleness: int) -> tuple[Any, Federation, dict[str, Held]]:
    """Run with two fast clients and a slow one; the second waits for it in round 3."""
    mmar = (
        MmarBuilder()
        .server(num_rounds=ROUNDS)
        .top_level(workflow=component("FedBuff", max_staleness=max_staleness))
        .write(folder)
    )
    trainers = {"site-1": Held(-1), "site-2": Held(LATE), "site-3": Held(0)}
    more: dict[str, Any] = {"trainers": trainers, "variables": {"MIN_NUM_CLIENTS": 2}}
    with Federation(mmar, workspace=folder / "ws", clients=3, **more) as federation:
        federation.serve()
        for name in federation.names:
            federation.join(name)
        federation.server.wait_for(Topic.ROUND_FINISHED, round=LATE - 1)
        trainers["site-3"].may.set()
        federation.server.wait_for(Topic.UPDATE_ACCEPTED, client="site-3", round=LATE)
        trainers["site-2"].may.set()
        outcome = federation.wait()
    return outcome, federation, trainers


def refused(federation: Federation, name: str) -> list[tuple[int, str]]:
    """Return which updates of a client were refused, but for what came when the run was over."""
    seen = (one.data for one in federation.sessions[name].all(Topic.REFUSED))
    told = [one for one in seen if "no round is the current one" not in one["message"]]
    return [(one["round"], one["reason"]) for one in told]


def stale(outcome: Any) -> dict[int, dict[str, int]]:
    """Return how old the models were that updates were made from, by round and client."""
    return {
        entry["round"]: {c["client"]: c.get("staleness", 0) for c in entry["contributions"]}
        for entry in outcome.summary["rounds"]
    }


def test_a_buffer_waits_for_nobody_and_takes_what_comes_late(tmp_path: Path) -> None:
    outcome, federation, trainers = run(tmp_path, max_staleness=5)
    assert outcome.status == "finished"
    found = stale(outcome)
    assert [found[number] for number in range(LATE)] == [{"site-1": 0, "site-2": 0}] * LATE
    assert found[LATE]["site-3"] == LATE
    assert all(len(clients) == 2 for clients in found.values())
    assert refused(federation, "site-3") == refused(federation, "site-2") == []
    assert trainers["site-3"].rounds[1] >= LATE  # the newest model, not the next
    models = sorted(path.name for path in (outcome.run_folder / "models").glob("round_*"))
    assert models[-1] == f"round_{ROUNDS:04d}.safetensors"


def test_what_is_too_old_is_refused_and_its_client_takes_the_newest(tmp_path: Path) -> None:
    outcome, federation, trainers = run(tmp_path, max_staleness=LATE - 1)
    assert outcome.status == "finished"
    found = stale(outcome)
    assert found[LATE]["site-3"] == 0
    assert refused(federation, "site-3") == [(0, "ROUND_MISMATCH")]
    assert trainers["site-3"].rounds[:2] == [0, LATE]
