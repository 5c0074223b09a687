# SPDX-License-Identifier: Apache-2.0
"""A trainer of a tiny network on a tiny table, without a catalog: a round takes milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from mmar_runner.interfaces.client_trainer import TrainerContext, TrainTask
from mmar_runner_torch.files import read_state, write_state
from mmar_runner_torch.trainer import TorchTrainer

SAMPLES = 11


def table(samples=SAMPLES):
    drawn = torch.Generator().manual_seed(5)
    inputs = torch.randn(samples, 3, generator=drawn)
    return TensorDataset(inputs, inputs.sum(1) + 0.1 * torch.randn(samples, generator=drawn))


def two_layers():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


@dataclass
class Tiny:
    """Builds trainers and gives them tasks.

    Attributes:
        folder: Where the files of tasks lie.
        data: The site's table.
        network: Makes the network.
        optimizer: Makes the optimizer of parameters.
        loss: Of a batch.
        batch_size: Of the loader.
        config: Further keys of config_train.json.
    """

    folder: Path
    data: Any = field(default_factory=table)
    network: Any = two_layers
    optimizer: Any = lambda parameters: torch.optim.SGD(parameters, lr=0.1)
    loss: Any = field(default_factory=nn.MSELoss)
    batch_size: int = 4
    config: dict[str, Any] = field(default_factory=dict)
    processes: int = 1

    def but(self, **changes) -> Tiny:
        return replace(self, **changes)

    def trainer(self, kind=TorchTrainer, **arguments):
        trainer = kind(device="cpu", **arguments)
        trainer.setup(self._context())
        return trainer

    def task(self, number=0, *, state=None, beside=None, **changes):
        here = self.folder / f"task_{len(list(self.folder.glob('task_*')))}"
        (here / "state").mkdir(parents=True)
        (here / "new_state").mkdir()
        torch.manual_seed(3)
        write_state(here / "model", self.network().state_dict() | (beside or {}))
        paths = {"model": here / "model", "update": here / "update"}
        states = {"state": state or here / "state", "new_state": here / "new_state"}
        fields = {"run_number": 1, "round": number, "num_rounds": 5, "seed": 7 + number}
        return TrainTask(**{**fields, **paths, **states, **changes})

    def trained(self, task=None, **arguments):
        """Return the update of a new trainer."""
        task = task or self.task()
        self.trainer(**arguments).train(task)
        return read_state(task.update)

    def _context(self):
        parts = {
            "model": lambda *_: self.network(),
            "loss": lambda *_: self.loss,
            "dataset": lambda *_: self.data,
            "optimizer": self.optimizer,
        }
        loader = {"args": {"batch_size": self.batch_size}}
        train = {**{name: {"name": name} for name in parts}, "dataloader": loader}
        workspace = self.folder / "workspace"
        workspace.mkdir(exist_ok=True)
        return TrainerContext(
            client_name="site-1",
            mmar=self.folder,
            workspace=workspace,
            train_config={"train": train, **self.config},
            validation_config={},
            variables={},
            blueprint=lambda kind, _: _Part(parts[kind.value]),
            processes=self.processes,
        )


@dataclass
class _Part:
    build: Any
    args: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def tiny(tmp_path):
    """Return the maker of tiny trainers."""
    return Tiny(tmp_path)
