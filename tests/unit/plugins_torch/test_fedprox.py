# SPDX-License-Identifier: Apache-2.0
"""FedProx's term is the gradient that its paper gives it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmar_runner_torch.files import read_state
from mmar_runner_torch.proximal import Proximal


def test_the_term_is_the_gradient_of_mu_half_of_the_squared_distance():
    start = torch.tensor([1.0, -2.0])
    parameter = nn.Parameter(start.clone())
    term = Proximal([parameter], mu=0.7)
    with torch.no_grad():
        parameter += torch.tensor([0.5, 3.0])
    (0.7 / 2 * (parameter - start).square().sum()).backward()
    expected = parameter.grad.clone()
    parameter.grad = torch.ones(2)
    term.correct()
    assert torch.allclose(parameter.grad, expected + 1)
    parameter.grad = None  # one that the loss does not know
    term.correct()
    assert torch.allclose(parameter.grad, expected)


def distance(update, task):
    before = read_state(task.model)
    return sum(float((update[n] - before[n]).square().sum()) for n in before)


def test_a_larger_mu_stays_nearer(tiny):
    task = tiny.task()
    far, near, nearest = (
        distance(tiny.trained(task, local_epochs=8, fedprox_mu=mu), task) for mu in (0, 1, 5)
    )
    assert far > 1.2 * near > 1.2 * 1.2 * nearest > 0


def test_the_first_step_knows_no_distance(tiny):
    one = tiny.but(batch_size=11)
    plain, pulled = (one.trained(fedprox_mu=mu) for mu in (0, 3))
    assert all(torch.equal(plain[name], pulled[name]) for name in plain)


def test_frozen_parameters_and_those_of_the_site_are_not_pulled(tiny):
    def frozen():
        network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        network[0].requires_grad_(requires_grad=False)
        return network

    seen = {}

    class Spied(tiny.trainer().__class__):
        def train_round(self, network, task):
            seen.update(self.federated_parameters())
            return super().train_round(network, task)

    tiny.but(network=frozen).trainer(Spied, fedprox_mu=1, exclude_vars="bias").train(tiny.task())
    assert set(seen) == {"2.weight"}


def test_the_term_is_added_once_a_step_not_once_a_batch(tiny):
    whole = tiny.but(batch_size=8).trained(local_epochs=3, fedprox_mu=1.0)
    parts = tiny.but(batch_size=4).trained(local_epochs=3, fedprox_mu=1.0, accumulate_steps=2)
    for name, tensor in whole.items():
        assert torch.allclose(tensor, parts[name], atol=1e-6), name


@pytest.mark.parametrize("mu", [0.0, 0.5])
def test_it_repeats_itself_bit_for_bit(tiny, mu):
    first, second = (tiny.trained(fedprox_mu=mu) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
