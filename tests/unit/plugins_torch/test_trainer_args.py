# SPDX-License-Identifier: Apache-2.0
"""What TorchTrainer's arguments may be is a schema's business, and what they mean a tag's."""

from __future__ import annotations

import pytest

from mmar_runner.documents.schema_check import faults
from mmar_runner.interfaces.tags import Tag, tags_of
from mmar_runner_torch.schemas import TRAIN_SCHEMA, TRAINER_ARGS, TRAINER_EXTRAS

DP = {"max_grad_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5}
SCAFFOLD = {"algorithm": "scaffold", "send": "weight_diff"}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"fedprox_mu": 0.01, "accumulate_steps": 4, "amp": True, "exclude_vars": "bn"},
        {"exclude_vars": None, "amp": None, "dp": None},
        SCAFFOLD,
        {"dp": DP, "fedprox_mu": 0.1},
        {"dp": {**DP, "max_epsilon": None}, **SCAFFOLD},
    ],
)
def test_these_are_sound(arguments):
    assert not faults(TRAINER_ARGS, arguments)


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"fedprox_mu": -0.1}, ("fedprox_mu",)),
        ({"accumulate_steps": 0}, ("accumulate_steps",)),
        ({"amp": "yes"}, ("amp",)),
        ({"exclude_vars": "("}, ("exclude_vars",)),
        ({"algorithm": "fedadam"}, ("algorithm",)),
        ({"algorithm": "scaffold"}, ("algorithm",)),
        ({**SCAFFOLD, "fedprox_mu": 0.1}, ("fedprox_mu",)),
        ({"dp": {**DP, "noise_multiplier": 0}}, ("dp", "noise_multiplier")),
        ({"dp": {**DP, "max_grad_norm": 0}}, ("dp", "max_grad_norm")),
        ({"dp": {**DP, "delta": 1}}, ("dp", "delta")),
        ({"dp": {**DP, "max_epsilon": 0}}, ("dp", "max_epsilon")),
        ({"dp": {**DP, "epsilon": 1}}, ("dp", "epsilon")),
        ({"dp": {"delta": 0.1, "max_grad_norm": 1}}, ("dp",)),
        ({"dp": DP, "accumulate_steps": 2}, ("accumulate_steps",)),
        ({"dp": DP, "amp": True}, ("amp",)),
    ],
)
def test_these_are_found_where_they_stand(arguments, place):
    (found,) = faults(TRAINER_ARGS, arguments)
    assert found.path == place


@pytest.mark.parametrize(
    ("arguments", "tags"),
    [
        ({"send": "weights", "algorithm": "fedavg"}, {Tag.SENDS_WEIGHTS}),
        (SCAFFOLD, {Tag.SENDS_DIFFERENCES, Tag.SENDS_CONTROL_VARIATES}),
        ({"send": "weights", "dp": DP}, {Tag.SENDS_WEIGHTS, Tag.ADDS_NOISE}),
        ({"send": "weights", "exclude_vars": "bn"}, {Tag.SENDS_WEIGHTS, Tag.DROPS_TENSORS}),
    ],
)
def test_tags_follow_the_arguments(arguments, tags):
    assert tags_of(TRAINER_EXTRAS, arguments) == tags


def test_mixed_precision_is_a_switch_of_the_configuration():
    assert not faults(TRAIN_SCHEMA["properties"]["amp"], value=True)
    assert faults(TRAIN_SCHEMA["properties"]["amp"], "O1")
