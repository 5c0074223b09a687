# SPDX-License-Identifier: Apache-2.0
"""SCAFFOLD at a client follows algorithm 1, option II, of its paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner_torch.files import read_state, write_state
from mmar_runner_torch.scaffold import CONTROL_FILE

ARGS = {"algorithm": "scaffold", "send": "weight_diff"}
C = "control_variate/"


def sgd(**arguments):
    return lambda parameters: torch.optim.SGD(parameters, **{"lr": 0.1, **arguments})


def zeros(tiny):
    return {C + name: torch.zeros_like(t) for name, t in tiny.network().state_dict().items()}


def one_number():
    return nn.Linear(1, 1, bias=False)


def site(tiny, slope, scale, **changes):
    """Return a site whose loss is ``(scale (w - slope))^2``, for a single weight w."""
    data = TensorDataset(torch.full((4, 1), scale), torch.full((4,), scale * slope))
    return tiny.but(data=data, network=one_number, batch_size=2, **changes)


def test_a_round_is_the_papers(tiny):
    """Four steps by hand: y <- y - eta (g - c_i + c), and c_i+ = c_i - c + (x - y)/(K eta)."""
    own, server, rate, steps = 0.3, -0.2, 0.1, 4
    one = site(tiny, 3.0, 1.5)
    task = one.task(beside={C + "weight": torch.tensor([[server]])})
    write_state(task.state / CONTROL_FILE, {"weight": torch.tensor([[own]])})
    result = one.trainer(local_epochs=2, **ARGS).train(task)
    x = y = float(read_state(task.model)["weight"])
    gradients = []
    for _ in range(steps):
        gradients.append(2 * 1.5**2 * (y - 3.0))
        y -= rate * (gradients[-1] - own + server)
    new = own - server + (x - y) / (steps * rate)
    assert new == pytest.approx(sum(gradients) / steps)
    update = read_state(task.update)
    assert result.kind is UpdateKind.WEIGHT_DIFF
    assert float(update["weight"]) == pytest.approx(y - x, abs=1e-6)
    assert float(update[C + "weight"]) == pytest.approx(new - own, abs=1e-5)
    assert float(read_state(task.new_state / CONTROL_FILE)["weight"]) == pytest.approx(
        new, abs=1e-5
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.5},
        {"momentum": 0.9, "nesterov": True},
        {"lr": 0.02, "momentum": 0.5},
    ],
)
def test_a_constant_gradient_is_found_whatever_sgd_makes_of_it(tiny, arguments):
    """Momentum and its kin stretch the way; the control variate is the gradient all the same."""

    class Slope(nn.Module):
        def forward(self, outputs, targets):
            del targets
            return outputs.mean() * 5

    data = TensorDataset(torch.ones(6, 1), torch.ones(6))
    one = tiny.but(data=data, network=one_number, loss=Slope(), optimizer=sgd(**arguments))
    task = one.task(beside={C + "weight": torch.zeros(1, 1)})
    update = one.trained(task, local_epochs=4, **ARGS)
    assert float(update[C + "weight"]) == pytest.approx(5, rel=1e-4)


def rounds(sites, number, *, corrected):
    """Train two sites and average what they send, as the server would; return the weight."""
    weight, control = torch.zeros(1, 1), torch.zeros(1, 1)
    states = [None for _ in sites]
    for round_number in range(number):
        updates = []
        for index, one in enumerate(sites):
            beside = {C + "weight": control} if corrected else {}
            task = one.task(round_number, state=states[index], beside=beside)
            write_state(task.model, {"weight": weight, **beside})
            arguments = ARGS if corrected else {"send": "weight_diff"}
            updates.append(one.trained(task, local_epochs=10, **arguments))
            states[index] = task.new_state
        weight = weight + sum(update["weight"] for update in updates) / len(sites)
        if corrected:
            control = control + sum(update[C + "weight"] for update in updates) / len(sites)
    return float(weight)


def test_sites_that_pull_apart_agree_on_the_optimum_of_all(tiny):
    """Averaging local optima misses it; that is the drift which the paper's control undoes."""
    sites = [
        site(tiny, slope, scale, optimizer=sgd(lr=0.05)) for slope, scale in ((4.0, 1.0), (-1, 0.4))
    ]
    optimum = (1.0 * 4 + 0.4**2 * -1) / (1.0 + 0.4**2)
    assert rounds(sites, 12, corrected=True) == pytest.approx(optimum, abs=0.05)
    assert abs(rounds(sites, 12, corrected=False) - optimum) > 0.5


def test_a_model_without_control_variates_is_said_with_the_mend(tiny):
    with pytest.raises(TaskFailedError, match="without control variates, such as that") as e:
        tiny.trained(**ARGS)
    assert "aggregator Scaffold" in e.value.hint


def test_an_optimizer_that_is_not_sgd_is_refused_at_setup(tiny):
    adam = tiny.but(optimizer=torch.optim.Adam)
    with pytest.raises(TaskFailedError, match="defined for SGD, and the optimizer is Adam"):
        adam.trainer(**ARGS)


def normalised():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def test_what_is_not_trained_or_not_shared_has_no_control_variate(tiny):
    one = tiny.but(network=normalised)
    floats = {n: t for n, t in zeros(one).items() if t.is_floating_point()}
    task = one.task(beside=floats)
    update = one.trained(task, exclude_vars=r"^2\.", **ARGS)
    moved = {n for n in floats if float(update[n].abs().max()) > 0}
    assert {C + "0.weight", C + "1.weight", C + "1.bias"} <= moved
    assert not {n for n in moved if "running" in n or n.startswith(C + "2.")}
    assert set(update) == set(read_state(task.model))
    kept = read_state(task.new_state / CONTROL_FILE)
    assert set(kept) == {"0.weight", "0.bias", "1.weight", "1.bias"}


def test_only_what_was_acknowledged_counts(tiny):
    """The state of a round that was lost is gone, and so is what it would have changed."""
    beside = zeros(tiny)
    first = tiny.task(beside=beside)
    tiny.trained(first, **ARGS)
    kept = tiny.task(1, state=first.new_state, beside=beside)
    lost = tiny.task(1, beside=beside)
    update, again = tiny.trained(kept, **ARGS), tiny.trained(lost, **ARGS)
    assert any(not torch.equal(update[name], again[name]) for name in update)
