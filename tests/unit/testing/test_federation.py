# SPDX-License-Identifier: Apache-2.0
"""The federation in one process, as users of the kit see it."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path

import pytest

from mmar_runner.errors import InUseError, MmarInvalidError
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.federation import Federation

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "testing.md"


class Copies(ClientTrainer):
    """Returns what it received, once it may."""

    def __init__(self):
        self.may_end = threading.Event()
        self.may_end.set()
        self.rounds = []
        self.context = None
        self.closed = False

    def setup(self, context):
        self.context = context

    def train(self, task):
        self.rounds.append(task.round)
        self.may_end.wait(20)
        task.update.write_bytes(task.model.read_bytes())
        return TrainResult(num_samples=2)

    def close(self):
        self.closed = True


@pytest.fixture
def mmar(tmp_path):
    return MmarBuilder().write(tmp_path)


def test_a_run_with_trainers_as_objects(mmar, tmp_path):
    trainers = {"site-1": Copies(), "site-2": Copies()}
    with Federation(mmar, workspace=tmp_path / "work", trainers=trainers) as federation:
        outcome = federation.run()

    assert outcome.status == "finished"
    assert [trainer.rounds for trainer in trainers.values()] == [[0, 1], [0, 1]]
    assert trainers["site-2"].context.client_name == "site-2"
    assert trainers["site-2"].context.variables["SITE_INDEX"] == 2
    assert all(trainer.closed for trainer in trainers.values())
    assert len(federation.server.all(Topic.ROUND_FINISHED)) == 2
    assert federation.sessions["site-1"].all(Topic.SUBMITTED, round=1)


def test_a_client_leaves_and_comes_back(mmar, tmp_path):
    trainers = {"a": Copies(), "b": Copies()}
    trainers["b"].may_end.clear()
    with Federation(
        mmar, workspace=tmp_path / "work", clients=["a", "b"], trainers=trainers
    ) as federation:
        federation.serve()
        federation.join("a")
        federation.join("b")
        federation.sessions["b"].wait_for(Topic.TRAINING, round=0)
        trainers["b"].may_end.set()
        assert federation.leave("b").status in {"stopped", "finished"}
        federation.server.wait_for(Topic.CLIENT_LEFT, client="b")
        federation.join("b")
        assert federation.wait().status == "finished"


def test_a_stopped_run_is_resumed(mmar, tmp_path):
    trainers = {"site-1": Copies(), "site-2": Copies()}
    trainers["site-2"].may_end.clear()
    with Federation(mmar, workspace=tmp_path / "work", trainers=trainers) as federation:
        federation.serve()
        for name in federation.names:
            federation.join(name)
        federation.server.wait_for(Topic.UPDATE_ACCEPTED, client="site-1", round=0)
        assert federation.stop().status == "stopped"
        trainers["site-2"].may_end.set()
        federation.serve()
        outcome = federation.wait()

    assert outcome.status == "finished"
    assert trainers["site-1"].rounds == [0, 1]


def test_an_mmar_with_errors_is_refused_with_its_findings(tmp_path):
    mmar = MmarBuilder().aggregator("FedAgv").write(tmp_path)

    with pytest.raises(MmarInvalidError, match="FedAgv"):
        Federation(mmar, workspace=tmp_path / "work")


def test_a_server_that_cannot_begin_says_so(mmar, tmp_path):
    with (
        Federation(mmar, workspace=tmp_path / "work") as first,
        Federation(mmar, workspace=tmp_path / "work") as second,
    ):
        first.serve()
        with pytest.raises(InUseError, match="another server works"):
            second.run()


def test_waiting_for_what_never_comes_fails_with_what_was_seen(mmar, tmp_path):
    with Federation(mmar, workspace=tmp_path / "work") as federation:
        federation.serve()
        with pytest.raises(AssertionError, match="listening"):
            federation.server.wait_for(Topic.RUN_ENDED, timeout=0.05)


def test_the_loop_is_not_the_callers(mmar, tmp_path):
    with Federation(mmar, workspace=tmp_path / "work"), pytest.raises(RuntimeError):
        asyncio.get_running_loop()


@pytest.mark.parametrize("name", ["three_hospitals", "with_objects", "with_processes"])
def test_the_examples_of_the_page_run(tmp_path, name):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    namespace = {}
    exec("\n".join(blocks), namespace)  # noqa: S102 - the page is ours

    namespace[f"test_{name}"](tmp_path)
