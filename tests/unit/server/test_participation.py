# SPDX-License-Identifier: Apache-2.0
"""Whose work was left out of a run is told at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.interfaces.observer import Topic
from mmar_runner.server.records.participation import left_out
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.federation import Federation
from mmar_runner_echo.trainer import EchoTrainer

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult, TrainTask


class _Empty(EchoTrainer):
    """A site without its data."""

    def train(self, task: TrainTask) -> TrainResult:
        raise FileNotFoundError("there is no table_2.csv")


def test_a_site_without_its_data_is_named_at_the_end(tmp_path: Path) -> None:
    """Run and client ended as if all was well: only summary.json knew."""

    def trainer(name: str) -> ClientTrainer:
        return _Empty() if name == "site-3" else EchoTrainer()

    mmar = MmarBuilder().variables(NUM_ROUNDS=2).write(tmp_path)
    with Federation(
        mmar,
        workspace=tmp_path / "ws",
        clients=3,
        trainers=trainer,
        variables={"MIN_NUM_CLIENTS": 2},
    ) as federation:
        federation.serve()
        joined = {name: federation.join(name) for name in federation.names}
        assert federation.wait().status == "finished"
        tasks = {name: session.result(30).tasks for name, session in joined.items()}

    (ended,) = federation.server.all(Topic.RUN_ENDED)
    assert ended.data["best_round"] == 0  # that of the last is known by nobody yet
    (told,) = federation.server.all(Topic.LEFT_OUT)
    (one,) = told.data["clients"]
    assert (one["client"], one["rounds"], one["of"]) == ("site-3", 0, 2)
    assert "there is no table_2.csv" in one["reason"]
    assert tasks["site-1"] == {"succeeded": 2, "failed": 0, "last_failure": ""}
    assert (tasks["site-3"]["succeeded"], tasks["site-3"]["failed"]) == (0, 2)
    assert "round 1" in tasks["site-3"]["last_failure"]


def test_who_had_an_update_in_every_round_after_all_is_not_named() -> None:
    def entry(counted: list[str], *rejected: tuple[str, str]) -> dict[str, object]:
        return {
            "contributions": [{"client": name} for name in counted],
            "rejected": [{"client": name, "reason": reason} for name, reason in rejected],
        }

    rounds = [
        entry(["site-1", "site-2"], ("site-2", "A: first")),
        entry(["site-1", "site-3"], ("site-2", "B: second"), ("site-2", "B: third")),
        entry(["site-1"], ("site-0", "C: never")),
    ]
    assert left_out(rounds) == [
        {"client": "site-0", "rounds": 0, "of": 3, "reason": "C: never"},
        {"client": "site-2", "rounds": 1, "of": 3, "reason": "B: third"},
    ]
    assert left_out([]) == []
