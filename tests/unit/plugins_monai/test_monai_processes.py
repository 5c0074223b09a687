# SPDX-License-Identifier: Apache-2.0
"""A child trains with processes that prepare samples; several trainers learn what one does."""

from __future__ import annotations

import asyncio

import pytest
import torch

from mmar_runner.children.process import ChildProcess
from mmar_runner.children.spec import ChildContext, ChildSpec
from mmar_runner_torch.files import read_state

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def without_chance(config):
    """Three samples in batches of two: the last batch has a single one, for two processes."""
    train = config["train"]
    train["model"]["args"]["dropout"] = 0.0
    train["dataloader"]["args"].update(batch_size=2, num_workers=2)
    train["pre_transforms"] = train["pre_transforms"][:2]
    train["optimizer"] = {"name": "SGD", "args": {"lr": 0.1}}


async def trained(site, folder, processes):
    folder.mkdir()
    context = ChildContext(
        "site-1", str(site.mmar), str(folder), train_config=site.config, processes=processes
    )
    component = {"name": "MonaiTrainer", "args": {"device": "cpu"}}
    launcher = "mmar_runner_torch.launch" if processes > 1 else ""
    spec = ChildSpec("client_trainer", component, context=context, launcher=launcher)
    child = await ChildProcess.start(spec, log=folder / "log")
    task = site.task()
    told = {
        name: str(getattr(task, name)) for name in ("model", "update", "state", "new_state")
    } | {"run_number": 1, "round": 0, "num_rounds": 1, "seed": 3}
    try:
        answer = await child.request("train", told, timeout=300)
    finally:
        await child.close()
    return answer, read_state(task.update), folder / "models"


def test_two_processes_learn_what_one_does_and_the_first_one_writes(site, tmp_path) -> None:
    plain = site.but(without_chance)

    async def both():
        return [await trained(plain, tmp_path / f"of_{n}", n) for n in (1, 2)]

    (one, alone, _), (two, together, models) = asyncio.run(both())
    assert alone.keys() == together.keys()
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, rtol=1e-4, atol=1e-6)
    assert one["num_samples"] == two["num_samples"] == 3
    assert two["metrics"] == pytest.approx(one["metrics"], rel=1e-4)
    assert two["validation"] == pytest.approx(one["validation"], rel=1e-3)
    assert [path.name for path in models.iterdir()] == ["checkpoint_final_iteration=2.pt"]
