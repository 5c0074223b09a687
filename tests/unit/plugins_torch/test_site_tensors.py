# SPDX-License-Identifier: Apache-2.0
"""What ``exclude_vars`` names is the site's: neither taken nor sent, and kept over rounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from mmar_runner.errors import SchemaMismatchError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner_torch.files import read_state, write_state
from mmar_runner_torch.loop import LocalResult, TorchLoopTrainer
from mmar_runner_torch.site_tensors import PERSONAL_FILE, SiteTensors


@pytest.mark.parametrize("send", ["weights", "weight_diff"])
def test_excluded_tensors_leave_as_they_came(tiny, send):
    task = tiny.task()
    update, before = tiny.trained(task, exclude_vars=r"^2\.", send=send), read_state(task.model)
    for name in ("2.weight", "2.bias"):
        unchanged = torch.zeros_like(before[name]) if send == "weight_diff" else before[name]
        assert torch.equal(update[name], unchanged)
    moved = update["0.weight"] if send == "weight_diff" else update["0.weight"] - before["0.weight"]
    assert float(moved.abs().max()) > 0
    kept = read_state(task.new_state / PERSONAL_FILE)
    assert set(kept) == {"2.weight", "2.bias"}
    assert not torch.equal(kept["2.weight"], before["2.weight"])


@pytest.mark.parametrize("nothing", [None, "", "dummy"])
def test_these_exclude_nothing(tiny, nothing):
    task = tiny.task()
    tiny.trained(task, exclude_vars=nothing)
    assert not list(task.new_state.iterdir())


def test_the_first_round_takes_the_global_model_and_later_ones_what_the_site_kept(tiny):
    first = tiny.task()
    trainer = tiny.trainer(exclude_vars="^2")
    trainer.train(first)
    second = tiny.task(1, state=first.new_state)
    other = {name: tensor + 1 for name, tensor in read_state(second.model).items()}
    write_state(second.model, other)
    loaded = {}

    class Spied(type(trainer)):
        def train_round(self, network, task):
            loaded.update({n: t.clone() for n, t in network.state_dict().items()})
            return super().train_round(network, task)

    tiny.trainer(Spied, exclude_vars="^2").train(second)
    kept = read_state(first.new_state / PERSONAL_FILE)
    assert torch.equal(loaded["2.weight"], kept["2.weight"])
    assert torch.equal(loaded["0.weight"], other["0.weight"])
    # A round that was not acknowledged leaves nothing: the global model is the beginning again.
    third = tiny.task(1)
    loaded.clear()
    tiny.trainer(Spied, exclude_vars="^2").train(third)
    assert torch.equal(loaded["2.weight"], read_state(third.model)["2.weight"])


def normalised():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def test_normalisation_can_stay_at_the_site(tiny):
    """FedBN: statistics and counters too, which are no parameters."""
    task = tiny.but(network=normalised).task()
    update = tiny.but(network=normalised).trained(task, exclude_vars=r"^1\.")
    assert int(update["1.num_batches_tracked"]) == 0
    assert torch.equal(update["1.running_mean"], torch.zeros(4))
    kept = read_state(task.new_state / PERSONAL_FILE)
    assert set(kept) == {f"1.{n}" for n in normalised()[1].state_dict()}
    assert int(kept["1.num_batches_tracked"]) == 3


def test_a_model_is_measured_with_what_is_the_sites(tiny, tmp_path):
    class Measured(TorchLoopTrainer):
        def build_network(self, context):
            del context
            return nn.Linear(3, 1)

        def train_round(self, network, task):
            del task
            with torch.no_grad():
                network.bias += 5
            return LocalResult(1)

        def evaluate(self, network):
            return {"val_bias": float(network.bias.detach())}

    small = tiny.but(network=lambda: nn.Linear(3, 1))
    trainer = small.trainer(Measured, exclude_vars="bias")
    task = small.task()
    received = trainer.train(task).validation["val_bias"]
    assert received == pytest.approx(float(read_state(task.model)["bias"]))
    other = {**read_state(task.model), "bias": torch.tensor([77.0])}
    write_state(tmp_path / "other", other)
    assert trainer.validate(tmp_path / "other")["val_bias"] == pytest.approx(received + 5)


def test_a_round_that_is_not_to_be_validated_is_not(tiny):
    class Measured(type(tiny.trainer())):
        def evaluate(self, network):
            del network
            return {"val_x": 1.0}

    trainer = tiny.trainer(Measured)
    task = tiny.task()
    assert trainer.train(task).validation == {"val_x": 1.0}
    assert trainer.train(replace(task, validate=False)).validation == {}


@pytest.mark.parametrize("send", ["weights", "weight_diff"])
def test_control_variates_that_nobody_asked_for_leave_unchanged(tiny, send):
    beside = {"control_variate/0.weight": torch.full((4, 3), 2.0)}
    task = tiny.task(beside=beside)
    update = tiny.trained(task, send=send)
    assert set(update) == set(read_state(task.model))
    left = update["control_variate/0.weight"]
    assert torch.equal(left, torch.full((4, 3), 2.0 if send == "weights" else 0.0))


@pytest.mark.parametrize("kind", list(UpdateKind))
def test_by_name_what_a_network_lacks_goes_back_as_it_came(tmp_path, caplog, kind):
    network, tensors = nn.Linear(2, 1), SiteTensors(by_name=True)
    model = {"weight": torch.ones(1, 2), "running": torch.full((3,), 7.0)}
    tensors.load(network, model, tmp_path)
    assert torch.equal(network.weight, model["weight"])
    with torch.no_grad():
        network.weight += 1
    update = tensors.update(network, model, kind)
    differs = kind is UpdateKind.WEIGHT_DIFF
    assert torch.equal(update["running"], torch.zeros(3) if differs else model["running"])
    assert torch.equal(update["weight"], torch.full((1, 2), 1.0 if differs else 2.0))
    tensors.save(network, model, tmp_path)
    assert set(read_state(tmp_path / PERSONAL_FILE)) == {"bias"}
    tensors.load_to_measure(network, model)
    said = [one.getMessage() for one in caplog.records]
    assert len(said) == 1
    assert "lacks 1 of the 2 tensors of the global model (running)" in said[0]


def test_by_name_a_network_must_have_some_tensor(tmp_path):
    with pytest.raises(SchemaMismatchError, match="no tensor of the global model"):
        SiteTensors(by_name=True).load(nn.Linear(2, 1), {"other": torch.ones(1)}, tmp_path)
