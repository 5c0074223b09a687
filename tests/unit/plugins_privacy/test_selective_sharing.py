# SPDX-License-Identifier: Apache-2.0
"""Percentile, sparse vector technique, Laplace mechanism: as their definitions have it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mmar_runner.errors import TaskFailedError
from mmar_runner_privacy.drawing import Drawing
from mmar_runner_privacy.exclude_vars import ExcludeVars
from mmar_runner_privacy.laplacian import LaplacianPrivacy
from mmar_runner_privacy.order_statistic import Percentile
from mmar_runner_privacy.percentile import PercentilePrivacy
from mmar_runner_privacy.svt import SVTPrivacy
from tests.unit.plugins_privacy.sending import secret, sent

UPDATE = {
    "w": np.random.default_rng(1).normal(size=(50, 40)) * 1e-3,
    "b": np.random.default_rng(2).normal(size=400),
    "scalar": np.array(0.5),
    "n": np.array(12),
}


def pooled(update):
    floating = [t.reshape(-1) for t in update.values() if t.dtype == np.float64]
    return np.concatenate(floating)


# Percentile


@pytest.mark.parametrize("percent", [0, 0.1, 10, 50, 99.9, 100])
@pytest.mark.parametrize(
    "numbers",
    [
        np.abs(np.random.default_rng(3).normal(size=1000)),
        np.abs(np.random.default_rng(4).normal(size=300_000)) * 1e-7,
        np.zeros(5),
        np.array([0.0, 0.0, 0.0, 1e-300, 1e300]),
        np.array([3.5]),
        np.repeat([1.0, 2.0], 50),
    ],
    ids=["thousand", "many", "zeros", "far apart", "one", "ties"],
)
def test_the_percentile_is_exact_though_no_number_is_kept(numbers, percent):
    found = Percentile(percent)
    again = True
    while again:
        for part in np.array_split(numbers, 3):
            found.see(part)
        again = found.again()
    assert found.value == pytest.approx(np.percentile(numbers, percent), rel=1e-14)


@pytest.mark.parametrize("percent", [0, 10, 75, 100])
def test_percentile_keeps_the_largest_changes_of_all_tensors_together(percent):
    made = PercentilePrivacy(percentile=percent, gamma=0.7)
    out = sent(made, UPDATE)
    cutoff = np.percentile(np.abs(pooled(UPDATE)), percent)
    for name in ("w", "b", "scalar"):
        kept = np.abs(UPDATE[name]) >= cutoff
        expected = np.where(kept, np.clip(UPDATE[name], -0.7, 0.7), 0)
        assert out[name].tolist() == expected.tolist()
    assert np.mean(pooled(out) == 0) == pytest.approx(percent / 100, abs=1e-3)
    assert out["n"] == 0


def test_percentile_means_changes_of_one_step():
    made = PercentilePrivacy(percentile=0, gamma=0.1, steps=5)
    assert sent(made, np.array([0.4, 0.6, -9.0])).tolist() == [0.4, 0.5, -0.5]


# Sparse vector technique


def by_definition(values, fraction, epsilon, noise_var, gamma, tau, random):
    """Return what the definition lets out, drawn anew."""
    wanted = math.ceil(fraction * values.size)
    second = epsilon * (2 * wanted) ** (2 / 3)
    cut = np.clip(values, -gamma, gamma)
    threshold = tau + random.laplace(scale=2 * gamma / epsilon)
    accepted = np.zeros(values.size, bool)
    while accepted.sum() < wanted:
        asked = np.abs(cut) + random.laplace(scale=4 * gamma * wanted / second, size=values.size)
        accepted |= asked >= threshold
    drawn = random.choice(np.flatnonzero(accepted), wanted, replace=False)
    out = np.zeros(values.size)
    noise = random.laplace(scale=2 * gamma / noise_var, size=wanted)
    out[drawn] = np.clip(cut[drawn] + noise, -gamma, gamma)
    return out


@pytest.mark.parametrize(
    ("epsilon", "tau"), [(20.0, 0.5), (100.0, 0.9), (0.5, 0.1)], ids=["some", "few", "noise"]
)
def test_svt_lets_values_out_as_often_as_its_definition(epsilon, tau):
    values = np.linspace(-0.2, 1.2, 12)
    args = {"fraction": 0.3, "epsilon": epsilon, "noise_var": 5.0, "gamma": 1.0, "tau": tau}
    ours, theirs = 1000, 5000
    made = SVTPrivacy(**args)
    mine = np.array([sent(made, values, number) for number in range(ours)])
    random = np.random.default_rng(5)
    defined = np.array([by_definition(values, **args, random=random) for _ in range(theirs)])
    assert ((mine != 0).sum(axis=1) == 4).all()  # ceil(0.3 * 12), and never one twice
    often, expected = (mine != 0).mean(axis=0), (defined != 0).mean(axis=0)
    deviation = np.sqrt(expected * (1 - expected) * (1 / ours + 1 / theirs))
    assert (np.abs(often - expected) <= 4 * deviation).all()
    # What leaves is distributed alike, too.
    for place in np.flatnonzero(expected > 0.05):
        pair = mine[:, place], defined[:, place]
        assert stats.ks_2samp(*(one[one != 0] for one in pair)).pvalue > 0.001


def test_svt_releases_values_with_the_noise_that_it_states():
    values = np.random.default_rng(6).uniform(-0.2, 0.2, size=20_000)
    made = SVTPrivacy(fraction=1, epsilon=1, noise_var=40, gamma=1, tau=0)
    noise = sent(made, values) - values
    assert stats.kstest(noise, stats.laplace(scale=0.05).cdf).pvalue > 0.01


def test_svt_leaves_nothing_as_it_was_and_exactly_a_fraction():
    out = sent(SVTPrivacy(fraction=0.1, gamma=0.01), UPDATE)
    released = pooled(out)
    assert np.count_nonzero(released) == math.ceil(0.1 * released.size)
    assert np.abs(released).max() <= 0.01
    assert not np.isin(released[released != 0], pooled(UPDATE)).any()


def test_svt_whose_noise_never_comes_near_the_threshold_fails_and_does_not_ask_for_ever():
    made = SVTPrivacy(fraction=0.1, epsilon=1e6, gamma=1e-5, tau=1.0)
    with pytest.raises(TaskFailedError, match="fewer than 1 values that come near"):
        sent(made, np.zeros(5))


def test_an_update_without_floating_numbers_passes():
    for made in (SVTPrivacy(), LaplacianPrivacy(), PercentilePrivacy()):
        assert sent(made, {"n": np.array([4])})["n"].tolist() == [0]


# The Laplace mechanism


def test_laplacian_draws_a_part_and_gives_it_noise():
    values = np.random.default_rng(7).uniform(-0.2, 0.2, size=20_000)
    out = sent(LaplacianPrivacy(fraction=25, epsilon=40, gamma=1, tau=0), values)
    drawn = out != 0
    assert drawn.sum() == 5000
    noise = (out - values)[drawn]
    assert stats.kstest(noise, stats.laplace(scale=0.05).cdf).pvalue > 0.01


def test_laplacian_leaves_out_what_is_small_after_the_noise():
    values = np.random.default_rng(7).uniform(-0.2, 0.2, size=20_000)
    args = {"fraction": 50, "epsilon": 40, "gamma": 1}
    out = sent(LaplacianPrivacy(**args, tau=0.1), values)
    assert np.abs(out[out != 0]).min() >= 0.1
    # Who is drawn, of which some are left out, does not depend on the values.
    large = values[values > 0.15]
    noisy = large + np.random.default_rng(8).laplace(scale=0.05, size=large.size)
    share = np.mean(out[values > 0.15] != 0) / np.mean(np.abs(noisy) >= 0.1)
    assert share == pytest.approx(0.5, abs=0.03)


def test_drawing_gives_every_set_the_same_chance():
    counts = {}
    for number in range(3000):
        drawing = Drawing(5, 2, secret(number))
        first = drawing.draw("w", 0, np.array([True, False, True]))
        second = drawing.draw("v", 0, np.array([True, True, True]))
        drawn = tuple(np.flatnonzero(np.concatenate([first, second])))
        counts[drawn] = counts.get(drawn, 0) + 1
    assert len(counts) == 10  # sets of two out of five
    assert stats.chisquare(list(counts.values())).pvalue > 0.01
    assert not any(1 in drawn for drawn in counts)


def test_drawing_from_too_many_says_so():
    with pytest.raises(TaskFailedError, match="only of 10\\^9"):
        Drawing(10**9, 5, secret(0))


# ExcludeVars


def test_excluded_tensors_have_no_difference_and_others_are_not_touched():
    update = {"head.w": np.ones(3), "body.w": np.ones(3), "head.n": np.array(3)}
    for written in (r"^head\.", ["head.w", "head.n"]):
        out = sent(ExcludeVars(written), update)
        assert not out["head.w"].any()
        assert not out["head.n"].any()
        assert out["body.w"] is update["body.w"]


def test_a_name_is_no_expression():
    update = {"head.w": np.ones(3), "head-w": np.ones(3)}
    out = sent(ExcludeVars(["head.w"]), update)
    assert out["head-w"].all()


@pytest.mark.parametrize("written", [["head.w", "head.v"], "heed"])
def test_what_is_not_found_fails_the_task_instead_of_leaving(written):
    with pytest.raises(TaskFailedError, match=r"'head\.v'|'heed'"):
        sent(ExcludeVars(written), {"head.w": np.ones(3)})


@pytest.mark.parametrize("written", ["", [], "("])
def test_an_expression_that_excludes_nothing_or_is_none_is_refused(written):
    with pytest.raises(ValueError, match="exclude_vars"):
        ExcludeVars(written)
