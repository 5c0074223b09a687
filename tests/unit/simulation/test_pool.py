# SPDX-License-Identifier: Apache-2.0
"""The pool: real children, several clients in each."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mmar_runner.children.spec import ChildContext, ChildSpec
from mmar_runner.errors import ChildDiedError, TaskFailedError, TaskTimeoutError
from mmar_runner.interfaces.client_trainer import TrainTask
from mmar_runner.simulation.pool import TrainerPool
from mmar_runner.simulation.trainer_host import TrainerHost

CODE = """
import os, sys, threading
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult

class Counts(ClientTrainer):
    def setup(self, context):
        self.name = context.client_name
        self.calls = 0

    def train(self, task):
        self.calls += 1
        order = task.model.read_text()
        if order == "exit":
            os._exit(7)
        if order == "slow":
            threading.Event().wait(0.5)
        if order == "hang":
            threading.Event().wait()
        if order == "raise":
            raise RuntimeError("no luck")
        task.update.write_text(f"{self.name} {self.calls} {os.getpid()}")
        return TrainResult(1)
"""


@pytest.fixture
async def pool(tmp_path):
    pools = []

    def make(names, size, timeout=None):
        custom = tmp_path / "custom"
        custom.mkdir(exist_ok=True)
        (custom / "counting.py").write_text(CODE)
        logs = tmp_path / "logs"
        hosts = [TrainerHost(logs / f"trainers_{index}.log") for index in range(size)]
        made = TrainerPool(names, hosts, logs)
        pools.append(made)
        return [
            made.trainer(spec(tmp_path, name), log=tmp_path / "unused.log", timeout=timeout)
            for name in names
        ]

    yield make
    for made in pools:
        await made.close()


def spec(folder: Path, name: str) -> ChildSpec:
    workspace = folder / name
    workspace.mkdir(exist_ok=True)
    return ChildSpec(
        role="client_trainer",
        component={"path": "counting.Counts", "args": {}},
        context=ChildContext(name, mmar=str(folder), workspace=str(workspace)),
        custom_dir=str(folder / "custom"),
    )


async def train(trainer, folder: Path, order: str = "work") -> list[str]:
    (folder / "model").write_text(order)
    update = folder / "update"
    task = TrainTask(
        run_number=1,
        round=0,
        num_rounds=1,
        seed=0,
        model=folder / "model",
        update=update,
        state=folder,
        new_state=folder,
    )
    await trainer.train(task)
    return update.read_text().split()


async def test_clients_keep_their_child_and_their_trainer(pool, tmp_path):
    trainers = pool(["a", "b", "c"], 2)
    for trainer in trainers:
        trainer.prepare()
    first = [await train(trainer, tmp_path) for trainer in trainers]
    second = [await train(trainer, tmp_path) for trainer in trainers]

    assert [told[:2] for told in second] == [["a", "2"], ["b", "2"], ["c", "2"]]
    assert [told[2] for told in first] == [told[2] for told in second]
    assert first[0][2] == first[2][2] != first[1][2]


async def test_waiting_for_a_turn_is_no_work(pool, tmp_path):
    one, other = pool(["a", "b"], 1)
    (tmp_path / "there").mkdir()
    await train(one, tmp_path)
    await asyncio.gather(train(one, tmp_path, "slow"), train(other, tmp_path / "there", "slow"))

    assert other.waited >= 0.5 > one.waited


async def test_a_child_that_dies_costs_one_task(pool, tmp_path):
    one, other = pool(["a", "b"], 1)
    await train(one, tmp_path)
    before = await train(other, tmp_path)
    with pytest.raises(ChildDiedError, match="exit code 7"):
        await train(one, tmp_path, "exit")

    after = await train(other, tmp_path)
    assert after[:2] == ["b", "1"]  # built anew, in a new process
    assert after[2] != before[2]
    assert (await train(one, tmp_path))[:2] == ["a", "1"]


async def test_a_trainer_that_raises_leaves_the_child_alone(pool, tmp_path):
    one, other = pool(["a", "b"], 1)
    before = await train(other, tmp_path)
    with pytest.raises(TaskFailedError, match="no luck"):
        await train(one, tmp_path, "raise")

    assert await train(other, tmp_path) == ["b", "2", before[2]]


async def test_a_trainer_is_built_once_although_its_first_task_fails(pool, tmp_path):
    (one,) = pool(["a"], 1)
    with pytest.raises(TaskFailedError, match="no luck"):
        await train(one, tmp_path, "raise")

    assert (await train(one, tmp_path))[:2] == ["a", "2"]


async def test_a_trainer_that_cannot_be_set_up_says_so_and_is_built_by_the_next_task(
    pool, tmp_path
):
    one, other = pool(["a", "b"], 1)
    there = '(context.workspace / "data").exists()'
    broken = f'self.calls = 0; assert self.name == "a" or {there}, "no data"'
    (tmp_path / "custom" / "counting.py").write_text(CODE.replace("self.calls = 0", broken))
    await train(one, tmp_path)
    with pytest.raises(TaskFailedError, match="setup raised AssertionError: no data"):
        await train(other, tmp_path)

    (tmp_path / "b" / "data").touch()
    assert (await train(other, tmp_path))[:2] == ["b", "1"]


async def test_a_task_that_outruns_its_limit_is_killed(pool, tmp_path):
    one, other = pool(["a", "b"], 1, timeout=5)
    await train(one, tmp_path)
    with pytest.raises(TaskTimeoutError):
        await train(one, tmp_path, "hang")

    assert (await train(other, tmp_path))[:2] == ["b", "1"]


async def test_only_the_first_client_of_a_child_is_built_before_it_is_asked(pool, tmp_path):
    custom = tmp_path / "custom"
    trainers = pool(["a", "b"], 1)
    (custom / "counting.py").write_text(
        CODE.replace("self.calls = 0", "self.calls = 0; (context.workspace / 'built').touch()")
    )
    for trainer in trainers:
        trainer.prepare()
    await train(trainers[0], tmp_path)

    assert (tmp_path / "a" / "built").exists()
    assert not (tmp_path / "b" / "built").exists()
    await train(trainers[1], tmp_path)
    assert (tmp_path / "b" / "built").exists()
