# SPDX-License-Identifier: Apache-2.0
"""Clipping, noise and their accountant: what LocalDP and DPFedAvg state is what they do."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mmar_runner.errors import PrivacyBudgetError, RunFailedError, StorageError, TaskFailedError
from mmar_runner.interfaces.aggregator import AggregationContext, Contribution
from mmar_runner_privacy.accountant import Release, epsilon_of
from mmar_runner_privacy.aligned_norms import AlignedNorms
from mmar_runner_privacy.dp_fedavg import DPFedAvg
from mmar_runner_privacy.ledger import PrivacyLedger
from mmar_runner_privacy.local_dp import LocalDP
from mmar_runner_privacy.norm_clip import NormClip
from tests.unit.plugins_privacy.sending import secret, sent

UPDATE = {"w": np.full((3, 4), 3.0), "b": np.full(4, -3.0), "n": np.array(100)}  # norm 12


# Clipping


def test_the_norm_is_that_of_all_floating_tensors_together():
    out = sent(NormClip(6), UPDATE)
    assert out["w"] == pytest.approx(UPDATE["w"] / 2)
    assert out["b"] == pytest.approx(UPDATE["b"] / 2)
    assert out["n"] == 100


def test_what_is_within_the_norm_is_not_touched():
    out = sent(NormClip(12.000001), UPDATE)
    assert all(out[name] is UPDATE[name] for name in UPDATE)


def test_a_norm_that_is_not_finite_lets_nothing_out():
    for update in (np.array([np.nan]), np.array([1e200, 1e200])):
        with pytest.raises(TaskFailedError, match="not finite"):
            sent(NormClip(1), update)


# The accountant


def delta_of(epsilon, noise):
    """Balle and Wang, 2018, theorem 8: the delta of one Gaussian mechanism of sensitivity 1."""
    low, high = (stats.norm.cdf(s / (2 * noise) - epsilon * noise) for s in (1, -1))
    return low - math.exp(epsilon) * high


@pytest.mark.parametrize("noise", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("times", [1, 7])
def test_epsilon_is_that_of_the_gaussian_mechanism(noise, times):
    epsilon = epsilon_of([Release(noise)] * times, 1e-5)
    assert delta_of(epsilon, noise / math.sqrt(times)) == pytest.approx(1e-5, rel=1e-3)


def test_releases_of_different_noise_add_up():
    together = epsilon_of([Release(1.0), Release(1.0), Release(math.sqrt(0.5))], 1e-5)
    assert together == pytest.approx(epsilon_of([Release(0.5)], 1e-5))


def test_nothing_spends_nothing_and_no_noise_spends_everything():
    assert epsilon_of([], 1e-5) == 0
    assert epsilon_of([Release(0.0)], 1e-5) == math.inf


def test_who_takes_part_seldom_spends_less():
    every, tenth = (epsilon_of({Release(1.0, share): 20}, 1e-5) for share in (1.0, 0.1))
    assert 0 < tenth < every / 4
    # And where everybody takes part, the bound for samples is one from above.
    nearly = epsilon_of({Release(1.0, 0.999): 20}, 1e-5)
    assert every < nearly < 1.2 * every


# LocalDP


@pytest.fixture
def local(tmp_path):
    """Send updates through LocalDP, each time made anew; return what leaves and the metrics."""

    def through(update, number=0, **changed):
        args = {"max_norm": 2.0, "noise_multiplier": 3.0, "epsilon": 10.0, "delta": 1e-5, **changed}
        made = LocalDP(**args)
        return sent(made, update, number, ledger=tmp_path), made.finish()["dp_epsilon"]

    return through


def test_what_leaves_is_clipped_and_has_the_noise_that_is_counted(local):
    update = {"w": np.full(60_000, 1.0), "n": np.array(5)}
    out, spent = local(update, max_norm=2.0, noise_multiplier=3.0)
    clipped = 2 / math.sqrt(60_000)
    assert stats.kstest(out["w"] - clipped, stats.norm(scale=6).cdf).pvalue > 0.01
    assert out["n"] == 0
    # Two updates may lie 4 apart, the noise is 6: that is the mechanism with 1.5.
    assert spent == epsilon_of([Release(1.5)], 1e-5)


def test_releases_add_up_in_the_ledger_and_the_same_one_counts_once(local, tmp_path):
    spent = [local(np.ones(5) * k, number)[1] for k, number in ((1, 0), (1, 0), (1, 1), (2, 1))]
    expected = [epsilon_of([Release(1.5)] * times, 1e-5) for times in (1, 1, 2, 3)]
    assert spent == expected
    kept = json.loads((tmp_path / "privacy.json").read_text())
    assert len(kept["releases"]) == 3
    assert secret(0).hex() not in json.dumps(kept)


def test_other_noise_or_another_norm_is_another_release(local):
    update = np.ones(5)
    local(update)
    assert local(update, max_norm=3.0)[1] == epsilon_of([Release(1.5)] * 2, 1e-5)


def test_beyond_the_budget_nothing_leaves_and_nothing_is_counted(local, tmp_path):
    local(np.ones(5), epsilon=4.0)
    before = (tmp_path / "privacy.json").read_bytes()
    with pytest.raises(PrivacyBudgetError, match="1 releases on record") as caught:
        local(np.ones(5), 1, epsilon=4.0)
    assert caught.value.reason == "PRIVACY_BUDGET"
    assert (tmp_path / "privacy.json").read_bytes() == before
    local(np.ones(5), epsilon=4.0)  # what is on record may be sent again


def test_a_release_is_on_the_disk_before_its_first_number_is_made(tmp_path, monkeypatch):
    order = []
    write, normal = PrivacyLedger.record, LocalDP.released
    monkeypatch.setattr(
        PrivacyLedger, "record", lambda *a, **k: (write(*a, **k), order.append("record"))
    )
    monkeypatch.setattr(
        LocalDP, "released", lambda *a, **k: (order.append("number"), normal(*a, **k))[1]
    )
    sent(LocalDP(1, 1, 50), np.ones(5), ledger=tmp_path)
    assert order == ["record", "number"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"releases": []}', '{"releases": {"a": {"round": 0, "noise": 0}}}'],
)
def test_a_ledger_that_cannot_be_read_does_not_begin_anew(local, tmp_path, text):
    (tmp_path / "privacy.json").write_text(text)
    with pytest.raises(StorageError, match="is damaged"):
        local(np.ones(5))


def test_without_a_ledger_nothing_leaves():
    with pytest.raises(TaskFailedError, match="needs a ledger"):
        sent(LocalDP(1, 1, 50), np.ones(5))


# DPFedAvg

CONTEXT = AggregationContext(
    round=0, num_rounds=3, start_round=0, participants=4, population=4, secret=secret(0)
)


def aggregated(rule, tensors, context=CONTEXT, *, block=None, name="w"):
    rule.begin(context)
    clients = [Contribution(f"site-{i}", 10.0**i) for i in range(len(tensors))]
    weights = np.array(rule.weigh(clients))
    size = block or tensors.shape[1]
    parts = [tensors[:, start : start + size] for start in range(0, tensors.shape[1], size)]
    for part in parts:
        rule.measure(name, part, weights)
    return np.concatenate([rule.combine(name, part, weights) for part in parts])


def rule(**changed):
    args = {"max_norm": 2.0, "noise_multiplier": 3.0, "max_epsilon": 20.0, **changed}
    return DPFedAvg(**args)


def test_the_mean_of_what_was_clipped_has_the_noise_that_is_counted():
    many = 60_000
    tensors = np.zeros((4, many))
    tensors[0] += 1.0  # a norm of 245, cut to 2
    tensors[1, 0] = 1.0  # within it
    noise = aggregated(rule(), tensors)
    noise -= 2 / math.sqrt(many) / 4
    noise[0] -= 1 / 4
    assert stats.kstest(noise, stats.norm(scale=2 * 3 / 4).cdf).pvalue > 0.01


def test_samples_do_not_weigh():
    clients = [Contribution(f"site-{i}", 10.0**i) for i in range(4)]
    assert list(rule().weigh(clients)) == [1.0] * 4


def test_blocks_make_no_difference_and_other_updates_other_noise():
    tensors = np.random.default_rng(1).normal(size=(3, 20_001))
    whole = aggregated(rule(), tensors)
    for block in (100, 8192, 9000):
        assert aggregated(rule(), tensors, block=block).tobytes() == whole.tobytes()
    tensors[0, 0] += 1e-9
    other = aggregated(rule(), tensors)
    assert abs(np.corrcoef(whole, other)[0, 1]) < 0.05
    another_round = aggregated(rule(), tensors, replace(CONTEXT, secret=secret(1)))
    assert abs(np.corrcoef(another_round, other)[0, 1]) < 0.05


def test_norms_are_those_of_whole_updates_whatever_the_blocks():
    tensors = np.random.default_rng(1).normal(size=(3, 30_000))
    found = []
    for block in (1000, 8192, 30_000):
        norms = AlignedNorms(3)
        for start in range(0, 30_000, block):
            norms.see("a", tensors[:, start : start + block])
        norms.see("b", tensors[:, :5])
        found.append((norms.norms().tobytes(), norms.digest()))
    assert len(set(found)) == 1
    expected = np.linalg.norm(np.concatenate([tensors, tensors[:, :5]], axis=1), axis=1)
    assert np.frombuffer(found[0][0]) == pytest.approx(expected)


def test_an_update_without_bound_counts_for_nothing():
    tensors = np.array([[1e200, 1e200], [0.0, 0.0]])
    with np.errstate(over="ignore"):
        out = aggregated(rule(), tensors)
    assert np.isfinite(out).all()


def test_rounds_add_up_and_a_walk_that_is_repeated_counts_once():
    made, tensors = rule(), np.ones((2, 3))
    aggregated(made, tensors)
    aggregated(made, tensors)  # the disk was full
    assert made.facts()["dp_epsilon"] == epsilon_of([Release(3.0)], 1e-5)
    aggregated(made, tensors)
    assert made.facts()["dp_epsilon"] == epsilon_of([Release(3.0)], 1e-5)
    aggregated(made, tensors, replace(CONTEXT, round=1, secret=secret(1)))
    assert made.facts()["dp_epsilon"] == epsilon_of([Release(3.0)] * 2, 1e-5)


def test_a_run_that_is_taken_up_goes_on_from_what_is_on_record():
    first, tensors = rule(), np.ones((2, 3))
    aggregated(first, tensors)
    facts = json.loads(json.dumps(first.facts()))
    taken_up = rule()
    taken_up.resume(facts)
    again = aggregated(taken_up, tensors)
    assert again.tobytes() == aggregated(rule(), tensors).tobytes()
    assert taken_up.facts() == first.facts()  # the same release
    aggregated(taken_up, tensors * 0.5)  # the same round, but other updates
    assert taken_up.facts()["dp_epsilon"] == epsilon_of([Release(3.0)] * 2, 1e-5)


def test_a_run_that_does_not_fit_fails_at_its_first_round():
    budget = epsilon_of([Release(3.0)] * 5, 1e-5) + 1e-6
    aggregated(rule(max_epsilon=budget), np.ones((2, 3)), replace(CONTEXT, num_rounds=5))
    with pytest.raises(RunFailedError, match="the rounds that are left") as caught:
        rule(max_epsilon=budget).begin(replace(CONTEXT, num_rounds=6))
    assert caught.value.reason == "PRIVACY_BUDGET"
    assert "it allows 5 more rounds" in caught.value.hint


def test_a_run_that_does_not_fit_is_refused_before_anybody_trains():
    budget = epsilon_of([Release(3.0)] * 5, 1e-5) + 1e-6
    rule(max_epsilon=budget).foresee(2, 7)
    rule(max_epsilon=budget).foresee(0, -1)  # that it stops is seen to, round by round
    rule(max_epsilon=budget, count_sampling=True).foresee(0, 6)  # who takes part is not known yet
    with pytest.raises(RunFailedError, match="6 rounds would bring") as caught:
        rule(max_epsilon=budget).foresee(0, 6)
    assert caught.value.reason == "PRIVACY_BUDGET"


def test_a_run_without_end_stops_before_the_round_that_would_spend_too_much():
    made = rule(max_epsilon=epsilon_of([Release(3.0)] * 2, 1e-5) + 1e-6)
    for number in range(2):
        context = replace(CONTEXT, round=number, num_rounds=-1, secret=secret(number))
        aggregated(made, np.ones((2, 3)), context)
        made.facts()
    with pytest.raises(RunFailedError, match="round 2 would bring") as caught:
        made.begin(replace(CONTEXT, round=2, num_rounds=-1))
    assert caught.value.reason == "PRIVACY_BUDGET"


def test_a_sampled_round_counts_as_a_whole_one_unless_told_otherwise():
    sampled = replace(CONTEXT, participants=1, population=10)
    spent = []
    for count_sampling in (False, True):
        made = rule(count_sampling=count_sampling)
        aggregated(made, np.ones((1, 3)), sampled)
        spent.append(made.facts()["dp_epsilon"])
    assert spent[0] == epsilon_of([Release(3.0)], 1e-5)
    assert spent[1] == epsilon_of([Release(3.0, 0.1)], 1e-5) < spent[0]


def test_whole_numbers_keep_the_models_values_and_count_in_no_norm():
    made, context = rule(), replace(CONTEXT, integers=frozenset({"n"}))
    made.begin(context)
    weights = np.ones(2)
    for name in ("n", "w"):
        made.measure(name, np.full((2, 3), 1000.0 if name == "n" else 0.0), weights)
    assert not made.combine("n", np.full((2, 3), 1000.0), weights).any()
    assert made.combine("w", np.zeros((2, 3)), weights).any()


def test_excluded_tensors_are_excluded():
    assert rule(exclude_vars="running_").excludes("bn.running_mean")
    assert not rule().excludes("bn.running_mean")
    with pytest.raises(ValueError, match="is not a regular expression"):
        rule(exclude_vars="(")
