# SPDX-License-Identifier: Apache-2.0
"""Made-up data has the shapes that data sets state."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mmar_runner.errors import SyntheticDataError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner_torch.synthetic import with_synthetic_data


@dataclass
class Stated:
    facts: dict[str, Any]
    args: dict[str, Any] = field(default_factory=dict)
    kind: ComponentKind = ComponentKind.DATASET
    name: str = "Table"

    def build(self):
        raise AssertionError("the data set was built")


def context(tmp_path, blueprint):
    return TrainerContext(
        client_name="site-1",
        mmar=tmp_path,
        workspace=tmp_path,
        train_config={"train": {"dataloader": {"args": {"batch_size": 5}}}},
        validation_config={},
        variables={},
        blueprint=lambda kind, _: blueprint if kind is ComponentKind.DATASET else kind,
    )


@pytest.mark.parametrize(
    ("facts", "args"),
    [
        ({"yields": {"shape": [1, 4, 6], "classes": 3}}, {}),
        (
            {"synthetic": {"shape": ["channels", 4, "width"], "classes": "classes"}},
            {"channels": 1, "width": 6, "classes": 3},
        ),
    ],
)
def test_two_batches_of_the_stated_shape_with_every_class(tmp_path, facts, args):
    told = with_synthetic_data(context(tmp_path, Stated(facts, args)))

    data = told.blueprint(ComponentKind.DATASET, {}).build()

    assert len(data) == 10
    items = [data[index] for index in range(len(data))]
    assert {tuple(inputs.shape) for inputs, _ in items} == {(1, 4, 6)}
    assert {label for _, label in items} == {0, 1, 2}
    assert torch.equal(items[3][0], data[3][0])  # the same every time
    with pytest.raises(IndexError):
        data[10]


@pytest.mark.parametrize(
    "facts",
    [{}, {"yields": {"shape": [], "classes": 2}}, {"synthetic": {"shape": ["absent"]}}],
)
def test_a_data_set_whose_shape_nobody_knows_is_refused(tmp_path, facts):
    told = with_synthetic_data(context(tmp_path, Stated(facts)))

    with pytest.raises(
        SyntheticDataError, match="dataset 'Table': the shape of what it yields"
    ) as caught:
        told.blueprint(ComponentKind.DATASET, {}).build()
    assert "synthetic" in caught.value.hint


def test_other_parts_are_what_they_were(tmp_path):
    told = with_synthetic_data(context(tmp_path, SimpleNamespace()))

    assert told.blueprint(ComponentKind.LOSS, {}) is ComponentKind.LOSS
