# SPDX-License-Identifier: Apache-2.0
"""Weights of classes, which a configuration can only list, in the losses that take them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.components import blueprint
from mmar_runner_torch.losses import built_loss


def built(declaration):
    return built_loss(blueprint(load_plugins().registry, "loss", declaration))


@pytest.mark.parametrize(
    "how", [{"name": "CrossEntropyLoss"}, {"path": "torch.nn.CrossEntropyLoss"}]
)
def test_listed_weights_count(how):
    loss = built({**how, "args": {"weight": [1.0, 3.0]}})
    outputs, targets = torch.tensor([[2.0, 0.0], [0.5, 0.1]]), torch.tensor([0, 1])
    expected = nn.CrossEntropyLoss(torch.tensor([1.0, 3.0]))(outputs, targets)
    assert loss(outputs, targets) == expected


def test_positive_labels_may_weigh_more():
    loss = built({"name": "BCEWithLogitsLoss", "args": {"pos_weight": [4.0]}})
    outputs, targets = torch.tensor([[0.3], [-1.0]]), torch.tensor([[1.0], [0.0]])
    plain = built({"name": "BCEWithLogitsLoss"})
    assert loss(outputs, targets) > plain(outputs, targets)


def test_without_weights_nothing_changes():
    assert built({"name": "CrossEntropyLoss", "args": {"weight": None}}).weight is None
