# SPDX-License-Identifier: Apache-2.0
"""Batches that make a step together, the place in the data that is kept, and mixed precision."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from mmar_runner_torch.batches import loader
from mmar_runner_torch.files import read_state
from mmar_runner_torch.order import Order, Position
from mmar_runner_torch.stepping import Stepper
from mmar_runner_torch.team import Team

CPU = torch.device("cpu")


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.MSELoss(reduction="sum")])
@pytest.mark.parametrize(("batch", "group"), [(2, 2), (2, 4), (3, 3), (4, 9)])
def test_accumulated_batches_are_the_large_batch(tiny, loss, batch, group):
    """Eleven samples: the last group is smaller, and its last batch smaller still."""
    slow = tiny.but(loss=loss, optimizer=lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9))
    arguments = {"local_epochs": 2, "send": "weight_diff"}
    large = slow.but(batch_size=batch * group).trained(**arguments)
    parts = slow.but(batch_size=batch).trained(accumulate_steps=group, **arguments)
    for name, tensor in large.items():
        assert torch.allclose(tensor, parts[name], atol=1e-6), name


def test_steps_are_counted_not_batches(tiny):
    steps = []
    task = tiny.task(progress=lambda *step: steps.append(step))
    result = tiny.but(batch_size=2).trainer(accumulate_steps=4, local_epochs=2).train(task)
    assert steps == [(number, 4) for number in range(1, 5)]
    assert result.num_samples == 11


def numbers(order, steps):
    return [piece.batch[0].tolist() for piece in order.pieces(steps)]


def order(position, group=1, **arguments):
    data = TensorDataset(torch.arange(11), torch.arange(11))
    batches = loader(data, {"args": arguments}, 0, shuffle=True, batch_size=2)
    return Order(batches, Team(), position, group)


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("cuts", [(4, 5, 1), (1, 1, 8), (6, 4), (10,)])
def test_an_order_that_is_broken_off_goes_on_where_it_was(cuts, group):
    whole = numbers(order(Position(3), group), 10)
    position, found = Position(3), []
    for cut in cuts:
        one = order(position, group)
        found += numbers(one, cut)
        position = one.position
    assert found == whole
    epoch = [number for batch in whole[:6] for number in batch]
    assert sorted(epoch) == list(range(11))


def test_nothing_is_loaded_of_what_is_done():
    asked = []

    class Data:
        def __len__(self):
            return 6

        def __getitem__(self, index):
            asked.append(index)
            return index, index

    batches = loader(Data(), {}, 0, shuffle=True, batch_size=2)
    one = Order(batches, Team(), Position(1, 0, 2), 1)
    assert len(numbers(one, 1)) == 1
    assert len(asked) == 2
    assert one.position == Position(1, 1, 0)


def test_rounds_of_steps_see_every_sample_before_one_comes_twice(tiny):
    seen = []

    class Spied(TensorDataset):
        def __getitem__(self, index):
            seen.append(index)
            return super().__getitem__(index)

    spied = tiny.but(data=Spied(*tiny.data.tensors), batch_size=2)
    state = None
    for number in range(3):  # two of the six batches a round
        task = spied.task(number, state=state)
        spied.trainer(steps_aggregation=2).train(task)
        state = task.new_state
    assert sorted(seen) == list(range(11))
    kept = json.loads((state / "torch_trainer.json").read_text())
    assert kept == {"position": {"seed": 7, "epoch": 1, "batch": 0}}


def test_rounds_of_epochs_keep_no_place(tiny):
    task = tiny.task()
    tiny.trained(task)
    assert not list(task.new_state.iterdir())


def test_a_place_beyond_the_data_is_the_next_epoch(tiny):
    task = tiny.task()
    told = {"position": {"seed": 1, "epoch": 4, "batch": 100}}
    (task.state / "torch_trainer.json").write_text(json.dumps(told))
    tiny.trained(task, steps_aggregation=1)
    kept = json.loads((task.new_state / "torch_trainer.json").read_text())
    assert kept["position"] == {"seed": 1, "epoch": 5, "batch": 1}


@pytest.mark.parametrize(
    ("argument", "config", "half"),
    [
        (None, {}, False),
        (None, {"amp": True}, True),
        (False, {"amp": True}, False),
        (True, {}, True),
    ],
)
def test_mixed_precision_is_asked_for_by_argument_or_configuration(tiny, argument, config, half):
    dtypes = set()

    class Seen(nn.Linear):
        def forward(self, inputs):
            outputs = super().forward(inputs)
            dtypes.add(outputs.dtype)
            return outputs

    seen = tiny.but(network=lambda: nn.Sequential(Seen(3, 1)), config=config)
    update = seen.trained(seen.task(), amp=argument)
    assert dtypes == {torch.bfloat16 if half else torch.float32}
    assert {tensor.dtype for tensor in update.values()} == {torch.float32}


def test_mixed_precision_repeats_itself_and_comes_near(tiny):
    first, second = (tiny.trained(amp=True, local_epochs=3) for _ in range(2))
    full = tiny.trained(local_epochs=3)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name])
        assert torch.allclose(tensor, full[name], atol=0.05)
    assert any(not torch.equal(tensor, full[name]) for name, tensor in first.items())


def test_a_step_that_scaled_gradients_made_impossible_is_not_counted():
    """As on CUDA, where losses are scaled until gradients overflow."""
    parameter = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    counted = []
    note = SimpleNamespace(correct=lambda: None, stepped=counted.append)
    stepper = Stepper(nn.Identity(), optimizer, [note], CPU)
    stepper._scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    stepper.backward((parameter * float("inf")).sum())
    stepper.step()
    assert not counted
    assert parameter.item() == 1
    stepper.backward(parameter.sum())
    stepper.step()
    assert len(counted) == 1
    assert parameter.item() == pytest.approx(0.9)
    scale = stepper.scale
    assert json.loads(json.dumps(scale)) == scale
    assert scale["scale"] == 2.0


def test_arguments_that_exclude_each_other_are_refused(tiny):
    from mmar_runner.errors import ComponentBuildError

    private = {"max_grad_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5}
    for arguments, said in (
        ({"algorithm": "scaffold"}, "sends differences"),
        ({"algorithm": "scaffold", "send": "weight_diff", "fedprox_mu": 0.1}, "fedprox_mu"),
        ({"dp": private, "accumulate_steps": 2}, "nothing to accumulate"),
        ({"dp": private, "amp": True}, "full precision"),
    ):
        with pytest.raises(ComponentBuildError, match=said) as caught:
            tiny.trainer(**arguments)
        assert caught.value.hint


def test_an_update_is_the_same_in_every_state_of_the_process(tiny):
    task = tiny.task()
    first = tiny.trained(task, steps_aggregation=5)
    torch.manual_seed(1)
    second = tiny.trained(task, steps_aggregation=5)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert set(first) == set(read_state(task.model))
