# SPDX-License-Identifier: Apache-2.0
"""Networks described without their numbers, and what a round takes of memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from mmar_runner.errors import NotAuthorizedError
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.network_facts import TensorFacts
from mmar_runner_torch.describing import (
    BUILT_FOR_REAL,
    activation_bytes,
    built_on_meta,
    gradient_bytes,
    optimizer_bytes,
    weights_bytes,
)
from mmar_runner_torch.loop import TorchLoopTrainer
from mmar_runner_torch.persistor import PTFileModelPersistor
from mmar_runner_torch.trainer import TorchTrainer

FLOAT = 4


@dataclass
class Built:
    """Builds what it was given, as a blueprint would."""

    what: Any
    facts: Any = None
    args: Any = None

    def build(self, *positional):
        return self.what(*positional)


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


class ReadsNumbers(nn.Module):
    """Takes its dropout from a tensor, as some transformers do."""

    def __init__(self):
        super().__init__()
        self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 2)]
        self.layer = nn.Linear(3, 2)


def test_a_persistor_describes_what_it_makes_and_takes_no_memory_for_it():
    huge = PTFileModelPersistor(Built(lambda: nn.Linear(1_000_000, 1_000_000)))

    assert dict(huge.describe().tensors) == {
        "weight": TensorFacts("F32", (1_000_000, 1_000_000)),
        "bias": TensorFacts("F32", (1_000_000,)),
    }


def test_a_persistor_leaves_out_what_is_not_shared():
    facts = PTFileModelPersistor(Built(network), exclude_vars=r"^1\.").describe()

    assert list(facts.tensors) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_a_network_that_reads_numbers_is_built_in_memory_and_that_is_said():
    built, note = built_on_meta(ReadsNumbers)

    assert (built.layer.weight.device.type, note) == ("meta", BUILT_FOR_REAL)


def test_why_a_network_was_built_in_memory_is_in_the_log(caplog):
    with caplog.at_level("INFO", "mmar_runner_torch.describing"):
        built_on_meta(ReadsNumbers)

    assert "built in memory, since the network cannot be built without memory" in caplog.text


def test_a_refusal_is_no_reason_to_build_a_network_in_memory():
    tried = []

    def refused():
        tried.append("once")
        raise NotAuthorizedError("the policy says no")

    with pytest.raises(NotAuthorizedError):
        built_on_meta(refused)
    assert tried == ["once"]


def test_what_cannot_be_built_at_all_raises_what_its_constructor_raised():
    with pytest.raises(TypeError, match="argument"):
        built_on_meta(lambda: nn.Linear(in_feetures=3))


@pytest.mark.parametrize(
    ("make", "copies"),
    [
        (lambda p: torch.optim.SGD(p, lr=0.1), 0),
        (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), 1),
        (lambda p: torch.optim.AdamW(p, lr=0.1), 2),
        (lambda p: torch.optim.AdamW(p, lr=0.1, amsgrad=True), 3),
    ],
)
def test_an_optimizer_says_itself_how_much_it_keeps(make, copies):
    built, _ = built_on_meta(network)
    numbers = sum(p.numel() for p in built.parameters())

    kept = optimizer_bytes(make(built.parameters()))

    steps = FLOAT * len(list(built.parameters())) if copies > 1 else 0  # Adam counts its steps
    assert kept == copies * FLOAT * numbers + steps


def test_weights_gradients_and_activations_are_counted():
    built, _ = built_on_meta(network)
    built[0].weight.requires_grad_(requires_grad=False)

    assert weights_bytes(built) == FLOAT * (12 + 4 + 4 + 4 + 4 + 4 + 4 + 1) + 8
    assert gradient_bytes(built) == FLOAT * (4 + 4 + 4 + 4 + 1)
    small, large = (activation_bytes(built, (size, 3)) for size in (8, 80))
    assert 0 < small < large
    assert activation_bytes(built, (8, 5)) is None  # it does not take such inputs


def test_a_trainer_describes_its_network_without_data(tiny_config):
    context = tiny_config(batch_size=8)
    trainer = TorchTrainer(exclude_vars="1\\.running")

    facts = trainer.describe(context)

    assert list(facts.tensors) == list(network().state_dict())
    assert facts.kept == {"1.running_mean", "1.running_var"}
    assert facts.memory["optimizer"] == facts.memory["gradients"]  # SGD with momentum
    assert facts.memory["a batch's activations"] > 0


def test_a_loop_of_one_s_own_says_nothing_unless_it_is_written(tiny_config):
    class Own(TorchLoopTrainer):
        def build_network(self, context):
            raise AssertionError("it may load data")

        def train_round(self, network, task): ...

    assert Own().describe(tiny_config()) is None
    Own.declared_network = lambda _self, _context: network()
    assert Own().describe(tiny_config()).memory.keys() == {
        "weights",
        "gradients",
        "received and sent",
    }


@pytest.fixture
def tiny_config(tmp_path):
    """Return a function that makes the context of a trainer whose data set must not be built."""
    from mmar_runner.interfaces.client_trainer import TrainerContext

    def no_data():
        raise AssertionError("the data set was built")

    parts = {
        ComponentKind.MODEL: Built(network),
        ComponentKind.OPTIMIZER: Built(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
        ComponentKind.DATASET: Built(no_data, facts={"yields": {"shape": [3], "classes": 2}}),
    }
    train = {"model": {}, "optimizer": {}, "dataset": {}, "loss": {}}

    def made(batch_size=16):
        loader = {"args": {"batch_size": batch_size}}
        return TrainerContext(
            client_name="site-1",
            mmar=tmp_path,
            workspace=tmp_path,
            train_config={"train": {**train, "dataloader": loader}},
            validation_config={},
            variables={},
            blueprint=lambda kind, _: parts[kind],
        )

    return made
