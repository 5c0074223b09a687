# SPDX-License-Identifier: Apache-2.0
"""Several processes under torchrun learn what one does, and write the same bytes twice."""

from __future__ import annotations

import asyncio

import pytest
import torch

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.spec import ChildContext, ChildSpec
from mmar_runner.errors import TaskFailedError
from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.components import blueprint
from mmar_runner_torch.files import read_state, write_state
from mmar_runner_torch.persistor import PTFileModelPersistor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

LAUNCHER = "mmar_runner_torch.launch"

SITE = {"num_sites": 3, "site_index": 2}
#: 36 samples in batches of 5: the last one has a single sample, for two processes.
CONFIG = {
    "train": {
        "model": {"name": "MLP", "args": {"in_features": 30, "hidden": [8], "out_features": 1}},
        "loss": {"name": "BCEWithLogitsLoss"},
        "optimizer": {"name": "SGD", "args": {"lr": 0.05, "momentum": 0.9}},
        "dataset": {"name": "BreastCancerDataset", "args": SITE},
        "dataloader": {"name": "DataLoader", "args": {"batch_size": 5}},
    },
    "validate": {
        "dataset": {"name": "BreastCancerDataset", "args": {**SITE, "partition": "held_out"}},
        "metrics": [{"name": "AUC"}],
    },
}


def initial_model(folder):
    catalog = load_plugins(allow=["mmar-runner-torch", "mmar-runner-sklearn"]).registry
    model = folder / "model.safetensors"
    declared = CONFIG["train"]["model"]
    PTFileModelPersistor(blueprint(catalog, "model", declared)).initial_model(model, seed=3)
    return model


def child_spec(folder, processes, config=CONFIG, **args):
    folder.mkdir()
    context = ChildContext(
        "site-2", str(folder), str(folder), train_config=config, processes=processes
    )
    component = {"name": "TorchTrainer", "args": {"device": "cpu", "local_epochs": 2, **args}}
    launcher = LAUNCHER if processes > 1 else ""
    return ChildSpec("client_trainer", component, context=context, launcher=launcher)


def task(folder, model, number=0):
    paths = {"model": model}
    for name in ("state", "new_state"):
        paths[name] = folder / name
        paths[name].mkdir(exist_ok=True)
    paths["update"] = folder / f"update_{number}.safetensors"
    numbers = {"run_number": 1, "round": number, "num_rounds": 2, "seed": 11 + number}
    return {**numbers, **{name: str(path) for name, path in paths.items()}}


async def trained(folder, model, processes, rounds=1, planned=16, **args):
    """Train rounds in a child; return its answers and the bytes of its updates."""
    spec = child_spec(folder, processes, **args)
    child = await ChildProcess.start(spec, log=folder / "log")
    answers, steps = [], []
    try:
        for number in range(rounds):
            told = lambda *step: steps.append(step)  # noqa: E731
            answers.append(await child.request("train", task(folder, model, number), told=told))
            model = folder / f"update_{number}.safetensors"
    finally:
        await child.close()
    assert steps[0][1] == planned
    return answers, [folder / f"update_{number}.safetensors" for number in range(rounds)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two rounds by one process, by two, and by two once more."""
    folder = tmp_path_factory.mktemp("several")
    model = initial_model(folder)

    async def all_of_them():
        one = await trained(folder / "one", model, 1, rounds=2)
        return one, *[await trained(folder / name, model, 2, rounds=2) for name in ("two", "again")]

    return folder, asyncio.run(all_of_them())


def test_two_processes_learn_what_one_does(runs):
    _, ((one, one_files), (two, two_files), _) = runs
    for left, right in zip(one_files, two_files, strict=True):
        alone, together = read_state(left), read_state(right)
        assert alone.keys() == together.keys()
        for name, tensor in alone.items():
            torch.testing.assert_close(together[name], tensor, rtol=1e-4, atol=1e-6)
    for alone, together in zip(one, two, strict=True):
        assert together["num_samples"] == alone["num_samples"] == 36
        assert together["metrics"]["train_loss"] == pytest.approx(alone["metrics"]["train_loss"])
        assert together["validation"] == pytest.approx(alone["validation"], rel=1e-4)


def test_the_same_number_of_processes_gives_the_same_bytes(runs):
    _, (_, (first, first_files), (second, second_files)) = runs
    assert first == second
    for left, right in zip(first_files, second_files, strict=True):
        assert left.read_bytes() == right.read_bytes()


def test_groups_of_batches_and_control_variates_are_those_of_one_process(tmp_path):
    model = initial_model(tmp_path)
    state = read_state(model)
    beside = {f"control_variate/{n}": torch.full_like(t, 0.01) for n, t in state.items()}
    write_state(model, state | beside)
    arguments = {"algorithm": "scaffold", "send": "weight_diff", "accumulate_steps": 2}

    async def both():
        return [
            await trained(tmp_path / str(processes), model, processes, planned=8, **arguments)
            for processes in (1, 2)
        ]

    (_, (one,)), (_, (two,)) = asyncio.run(both())
    alone, together = read_state(one), read_state(two)
    assert alone.keys() == together.keys() == {*state, *beside}
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, rtol=1e-3, atol=1e-5)
    assert float(alone["control_variate/0.weight"].abs().max()) > 1e-3


def test_nothing_of_the_launch_is_left(runs):
    folder, _ = runs
    assert not (folder / "two/.processes").exists()
    log = (folder / "two/log").read_text()
    assert "Error" not in log, log


def test_a_rank_that_raises_or_is_killed_fails_the_task_and_the_next_one_runs(tmp_path):
    model = initial_model(tmp_path)
    folder = tmp_path / "site"
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom/moody.py").write_text(MOODY)
    spec = child_spec(folder, 2)
    spec = ChildSpec(
        "client_trainer",
        {"path": "moody.Moody", "args": {}},
        context=spec.context,
        launcher=LAUNCHER,
        custom_dir=str(tmp_path / "custom"),
    )

    async def scenario():
        child = await ChildProcess.start(spec, log=folder / "log")
        try:
            errors = []
            for number in (0, 1):
                with pytest.raises(TaskFailedError, match="rank 1 of 2 processes: ") as caught:
                    await child.request("train", task(folder, model, number), timeout=120)
                errors.append(caught.value)
            return errors, await child.request("train", task(folder, model, 2), timeout=120)
        finally:
            await child.close()

    (raised, killed), answer = asyncio.run(scenario())
    assert raised.reason == "TASK_FAILED"
    assert "ValueError: no such case" in raised.message
    assert any(line.startswith("[rank 1]") and "no such case" in line for line in raised.log)
    # The first rank waited for the second one, and heard of its end by an exception of its own.
    assert killed.reason == "CHILD_DIED"
    assert any("SIGKILL" in line for line in killed.log), killed.log
    assert answer["num_samples"] == 3  # 1 of rank 0, and 2 of rank 1
    assert answer["metrics"] == pytest.approx({"loss": (1 * 5 + 2 * 8) / 3})


MOODY = '''
import os
import signal

import torch
from mmar_runner_torch.loop import LocalResult, TorchLoopTrainer
from mmar_runner_torch.models import MLP


class Moody(TorchLoopTrainer):
    """A loop of one's own, whose second process fails while the first one waits for it."""

    def build_network(self, context):
        return MLP(30, 1, [8])

    def train_round(self, network, task):
        if task.round == 0 and self.team.rank == 1:
            raise ValueError("no such case")
        if task.round == 1 and self.team.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        network(torch.full((4, 30), float(self.team.rank))).sum().backward()
        optimizer.step()
        return LocalResult(1 + self.team.rank, {"loss": 5.0 + 3 * self.team.rank})
'''
