# SPDX-License-Identifier: Apache-2.0
"""The best model that a site has trained itself."""

from __future__ import annotations

import pytest
import torch

from mmar_runner_torch.best_local import BestLocal
from mmar_runner_torch.files import read_state


def state(value):
    return {"w": torch.full((2,), float(value))}


@pytest.mark.parametrize(
    ("rounds", "best"),
    [
        ([{"val_auc": 0.5, "val_loss": 1.0}, {"val_auc": 0.9, "val_loss": 2.0}], 1),
        ([{"val_auc": 0.9}, {"val_auc": 0.5}], 0),
        ([{"val_loss": 1.0}, {"val_loss": 2.0}], 0),
        ([{"val_loss": 2.0}, {"val_loss": 1.0}], 1),
        ([{}, {}], 1),
        ([{"val_key": 0.2, "val_auc": 0.9}, {"val_key": 0.3, "val_auc": 0.1}], 1),
    ],
)
def test_the_first_metric_that_is_no_loss_decides(tmp_path, rounds, best):
    for number, metrics in enumerate(rounds):
        BestLocal(tmp_path).consider(state(number), metrics)  # each round in another process

    assert BestLocal(tmp_path).write(tmp_path / "out") == rounds[best]
    assert read_state(tmp_path / "out")["w"].tolist() == [best, best]


def test_without_a_round_there_is_none(tmp_path):
    assert BestLocal(tmp_path).write(tmp_path / "out") is None
    assert not (tmp_path / "out").exists()
