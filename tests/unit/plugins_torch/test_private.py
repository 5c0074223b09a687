# SPDX-License-Identifier: Apache-2.0
"""DP-SGD: clipped, noised, drawn by chance, and paid for before anything leaves."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from mmar_runner.errors import PrivacyBudgetError, TaskFailedError
from mmar_runner_torch.files import read_state
from mmar_runner_torch.poisson import PoissonOrder
from mmar_runner_torch.privacy_ledger import LEDGER_FILE, PrivacyLedger

opacus = pytest.importorskip("opacus", reason="the extra dp is not installed")

DP = {"max_grad_norm": 1.0, "noise_multiplier": 1.5, "delta": 1e-3}


def rdp_epsilon(noise, rate, steps, delta):
    """Return epsilon of the subsampled Gaussian, by the sum of Mironov et al. 2019, section 3.3."""
    from math import comb, exp, log

    best = float("inf")
    for order in range(2, 30):
        terms = [
            comb(order, k) * (1 - rate) ** (order - k) * rate**k * exp((k * k - k) / (2 * noise**2))
            for k in range(order + 1)
        ]
        rdp = steps * log(sum(terms)) / (order - 1)
        # The conversion of Balle et al. 2020 (arXiv:1905.09982), theorem 21.
        epsilon = rdp + log((order - 1) / order) - (log(delta) + log(order)) / (order - 1)
        best = min(best, epsilon)
    return best


def test_epsilon_is_the_papers_and_is_kept_over_rounds(tiny):
    result = tiny.trainer(dp=DP).train(tiny.task())
    rate, steps = 4 / 11, 3
    first = result.metrics["dp_sgd_epsilon"]
    assert first == pytest.approx(rdp_epsilon(1.5, rate, steps, 1e-3), rel=0.03)
    again = tiny.trainer(dp=DP).train(tiny.task(1)).metrics["dp_sgd_epsilon"]
    assert again == pytest.approx(rdp_epsilon(1.5, rate, 2 * steps, 1e-3), rel=0.03)
    assert again > first
    ledger = json.loads((tiny.folder / "workspace" / LEDGER_FILE).read_text())
    assert ledger == {"history": [[1.5, rate, steps]] * 2}


def test_a_task_that_fails_has_spent(tiny):
    class Broken(nn.MSELoss):
        def forward(self, outputs, targets):
            del outputs, targets
            raise ValueError("broken")

    with pytest.raises(TaskFailedError, match="broken"):
        tiny.but(loss=Broken()).trainer(dp=DP).train(tiny.task())
    assert len(PrivacyLedger(tiny.folder / "workspace" / LEDGER_FILE, 1e-3, None).history()) == 1


def test_a_budget_that_is_too_small_for_the_run_is_said_in_its_first_round(tiny, caplog):
    two = rdp_epsilon(1.5, 4 / 11, 6, 1e-3) * 1.05
    trainer = tiny.trainer(dp={**DP, "max_epsilon": two})
    for number in range(2):
        trainer.train(tiny.task(number))
    assert [one.getMessage() for one in caplog.records] == [
        "max_epsilon does not last for the 5 rounds of the run"
    ]


def test_it_stops_before_the_budget_is_passed(tiny):
    two = rdp_epsilon(1.5, 4 / 11, 6, 1e-3) * 1.05
    trainer = tiny.trainer(dp={**DP, "max_epsilon": two})
    spent = [trainer.train(tiny.task(number)).metrics["dp_sgd_epsilon"] for number in range(2)]
    assert spent[1] <= two
    third = tiny.task(2)
    for _ in range(2):
        with pytest.raises(PrivacyBudgetError, match=r"3 more steps would make epsilon") as caught:
            trainer.train(third)
        assert caught.value.reason == "PRIVACY_BUDGET"
    assert not third.update.exists()
    assert len(PrivacyLedger(tiny.folder / "workspace" / LEDGER_FILE, 1e-3, None).history()) == 2


def test_a_batch_norm_is_refused_with_the_mend(tiny):
    normalised = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    with pytest.raises(TaskFailedError, match="BatchNorm cannot support") as caught:
        tiny.but(network=lambda: normalised).trainer(dp=DP)
    assert "GroupNorm" in caught.value.hint


def test_a_loss_that_weighs_a_sample_by_the_others_is_refused(tiny):
    weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]))
    with pytest.raises(TaskFailedError, match="CrossEntropyLoss divides by the batch's") as caught:
        tiny.but(loss=weighted).trainer(dp=DP)
    assert '"sum"' in caught.value.hint
    weighted.reduction = "sum"
    tiny.but(loss=weighted).trainer(dp=DP)


def test_without_opacus_it_is_said_what_to_install(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "opacus", None)
    with pytest.raises(TaskFailedError, match="needs Opacus") as caught:
        tiny.trainer(dp=DP)
    assert "mmar-runner-torch[dp]" in caught.value.hint


def test_several_processes_are_refused(tiny):
    from mmar_runner_torch.private import DpSgd

    with pytest.raises(TaskFailedError, match="one process, and there are 2"):
        DpSgd(DP, tiny.folder, 2)


def test_no_sample_moves_a_step_by_more_than_the_clip(tiny):
    """With hardly any noise, a step of rate 1 goes no farther than the clip a sample."""
    inputs = torch.zeros(8, 3)
    inputs[0] = 1e4
    far = tiny.but(
        data=TensorDataset(inputs, torch.full((8,), -1e4)),
        network=lambda: nn.Linear(3, 1, bias=False),
        optimizer=lambda p: torch.optim.SGD(p, lr=1.0),
        batch_size=8,  # each sample is in each batch
    )
    quiet = {**DP, "noise_multiplier": 1e-6, "max_grad_norm": 0.5}
    task = far.task()
    update = far.trained(task, dp=quiet, send="weight_diff")
    assert float(update["weight"].norm()) == pytest.approx(0.5 / 8, rel=1e-3)


def test_noise_is_as_large_as_was_asked_and_never_twice_the_same(tiny):
    """Where all gradients are zero, what moves the weights is noise alone."""
    wide = tiny.but(
        data=TensorDataset(torch.zeros(4, 1000), torch.zeros(4)),
        network=lambda: nn.Linear(1000, 1, bias=False),
        optimizer=lambda p: torch.optim.SGD(p, lr=1.0),
        batch_size=4,
    )
    dp = {**DP, "noise_multiplier": 2.0, "max_grad_norm": 3.0}
    task = wide.task()
    noise = [wide.trained(task, dp=dp, send="weight_diff")["weight"] for _ in range(2)]
    for one in noise:
        assert float(one.std()) == pytest.approx(2.0 * 3.0 / 4, rel=0.1)
    # The same task, the same seed: a server that knows it must not know the noise.
    correlation = torch.corrcoef(torch.stack([one.flatten() for one in noise]))[0, 1]
    assert abs(float(correlation)) < 0.2


def test_a_batch_without_samples_is_a_step_of_noise(tiny):
    order = PoissonOrder(tiny.data, {"args": {"batch_size": 1}}, torch.Generator().manual_seed(0))
    pieces = list(order.pieces(40))
    assert len(pieces) == 40
    sizes = [0 if piece.batch is None else len(piece.batch[0]) for piece in pieces]
    assert 0 in sizes
    assert max(sizes) > 1
    assert sum(sizes) / 40 == pytest.approx(1, abs=0.5)
    steps = []
    task = tiny.task(progress=lambda *step: steps.append(step))
    tiny.but(batch_size=1).trainer(dp=DP, steps_aggregation=40).train(task)
    assert steps[-1] == (40, 40)
    assert all(bool(tensor.isfinite().all()) for tensor in read_state(task.update).values())


def test_neither_the_loss_nor_the_number_that_was_drawn_leaves(tiny):
    whole = tiny.trainer(dp=DP).train(tiny.task())
    assert set(whole.metrics) == {"dp_sgd_epsilon"}
    assert whole.num_samples == 11
    steps = tiny.trainer(dp=DP, steps_aggregation=6).train(tiny.task())
    assert steps.num_samples == 22


def test_it_goes_together_with_fedprox_and_scaffold(tiny):
    beside = {
        f"control_variate/{n}": torch.zeros_like(t) for n, t in tiny.network().state_dict().items()
    }
    tiny.trained(dp=DP, fedprox_mu=0.1)
    task = tiny.task(beside=beside)
    update = tiny.trained(task, dp=DP, algorithm="scaffold", send="weight_diff")
    assert float(update["control_variate/0.weight"].abs().max()) > 0


def test_a_trainer_that_was_private_leaves_the_network_as_it_was(tiny):
    trainer = tiny.trainer(dp=DP)
    for number in range(2):
        trainer.train(tiny.task(number))
    assert not any(hasattr(one, "grad_sample") for one in trainer.network.parameters())
    assert not trainer.network[0]._forward_hooks
