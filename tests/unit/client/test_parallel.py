# SPDX-License-Identifier: Apache-2.0
"""In how many processes a trainer works: who may say so, and who is refused."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import pytest

from mmar_runner.client.files.workspace import ClientWorkspace
from mmar_runner.client.tasks import parallel
from mmar_runner.client.tasks.component_specs import trainer_spec
from mmar_runner.client.tasks.parallel import count_accelerators, launcher_of, with_processes
from mmar_runner.errors import UsageError
from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.registry import ComponentRegistry
from mmar_runner.mmar.spec import ComponentSpec

TORCHRUN = "mmar_runner_torch.launch"


@pytest.fixture(scope="module")
def catalog():
    return load_plugins(allow=["mmar-runner-torch", "mmar-runner-echo"]).registry


@pytest.fixture
def with_trainer(settings):
    """Return a function that makes settings whose MMAR declares a trainer."""

    def make(name, *, byoc=False, config=None, **more):
        where = "path" if byoc else "name"
        old = settings.spec.client.client_trainer
        trainer: ComponentSpec = replace(
            old, declaration={where: name, "args": {}}, name=name, byoc=byoc
        )
        client = replace(settings.spec.client, client_trainer=trainer)
        spec = replace(settings.spec, client=client, train_config=config or {})
        return replace(settings, spec=spec, **more)

    return make


def settled(settings, catalog):
    return asyncio.run(with_processes(settings, catalog))


def test_a_plugin_says_what_starts_its_processes(with_trainer, catalog, tmp_path):
    found = settled(with_trainer("TorchTrainer", processes=2), catalog)
    assert (found.processes, found.launcher) == (2, TORCHRUN)
    assert settled(found, ComponentRegistry()) == found  # it is found out once
    with ClientWorkspace(found.workspace).locked("site-1"):
        spec = trainer_spec(found, ClientWorkspace(found.workspace).run(1, "a" * 32))
    assert (spec.launcher, spec.context.processes, spec.context.rank) == (TORCHRUN, 2, 0)
    echo = settled(with_trainer("EchoTrainer", processes=2), catalog)
    assert echo.launcher == "mmar_runner.children.launcher"


@pytest.mark.parametrize("processes", [1, None])
def test_one_process_is_started_without_a_launcher(with_trainer, catalog, processes):
    found = settled(with_trainer("TorchTrainer", processes=processes), catalog)
    assert (found.processes, found.launcher) == (1, "")


def test_a_trainer_that_does_not_say_so_is_refused(with_trainer, catalog):
    with pytest.raises(UsageError, match=r"Any works in one process; 2 were demanded") as caught:
        settled(with_trainer("Any", processes=2), catalog)
    assert caught.value.reason == "NOT_PARALLEL"
    assert "without a number of processes" in caught.value.hint


def test_code_of_an_mmar_says_so_by_multi_gpu(with_trainer, catalog):
    own = with_trainer("mine.Trainer", byoc=True, processes=2)
    with pytest.raises(UsageError, match="one process") as caught:
        settled(own, catalog)
    assert "multi_gpu" in caught.value.hint
    said = with_trainer("mine.Trainer", byoc=True, processes=2, config={"multi_gpu": True})
    assert settled(said, catalog).launcher == TORCHRUN
    assert not launcher_of(said, ComponentRegistry())  # where torch's plugin is not installed


def test_more_than_the_machine_has_is_refused(with_trainer, catalog):
    most = max(os.cpu_count() or 1, count_accelerators())
    with pytest.raises(UsageError, match="cores") as caught:
        settled(with_trainer("TorchTrainer", processes=most + 1), catalog)
    assert caught.value.reason == "TOO_MANY_PROCESSES"
    assert caught.value.hint == f"{most} at most"


@pytest.mark.parametrize(
    ("config", "there", "processes"),
    [
        ({"multi_gpu": True}, 4, 4),
        ({"multi_gpu": True}, 1, 1),
        ({"multi_gpu": True}, 0, 1),
        ({"multi_gpu": False}, 4, 1),
        ({}, 4, 1),
    ],
)
def test_multi_gpu_takes_all_accelerators_if_nobody_says_how_many(
    with_trainer, catalog, monkeypatch, config, there, processes
):
    monkeypatch.setattr(parallel, "accelerators", lambda: [{}] * there)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = settled(with_trainer("TorchTrainer", config=config), catalog)
    assert (found.processes, bool(found.launcher)) == (processes, processes > 1)
    assert settled(with_trainer("TorchTrainer", config=config, processes=1), catalog).processes == 1
    # An older archive's switch is no reason to refuse a trainer that does not know it.
    assert settled(with_trainer("Any", config=config), catalog).processes == 1


@pytest.mark.parametrize(
    ("shown", "count"), [(None, 4), ("", 0), ("-1", 0), ("0,2", 2), ("0,1,2,3,4,5", 4)]
)
def test_what_is_hidden_is_not_counted(monkeypatch, shown, count):
    monkeypatch.setattr(parallel, "accelerators", lambda: [{}] * 4)
    if shown is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert count_accelerators() == count
