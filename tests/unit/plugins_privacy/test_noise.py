# SPDX-License-Identifier: Apache-2.0
"""Noise is distributed as it should be, at the place where it should be, and known to nobody."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mmar_runner_privacy import noise
from mmar_runner_privacy.noise import Noise, laplace_above, laplace_quantile
from mmar_runner_privacy.noise_filters import GaussianNoise, LaplaceNoise
from tests.unit.plugins_privacy.sending import secret, sent

MANY = 60_000


def fits(numbers, distribution):
    """Kolmogorov and Smirnov; the secret is fixed, so that it fits always or never."""
    return stats.kstest(numbers, distribution.cdf).pvalue > 0.01


def test_numbers_are_distributed_as_they_should_be():
    made = Noise(secret(1), "test")
    assert fits(made.uniform("w", 0, MANY), stats.uniform())
    assert fits(made.laplace("w", 0, MANY, 3), stats.laplace(scale=3))
    assert fits(made.normal("w", 0, MANY, 5), stats.norm(scale=5))


def test_normal_numbers_next_to_each_other_know_nothing_of_each_other():
    numbers = Noise(secret(1), "test").normal("w", 0, MANY, 1)
    even, odd = numbers[0::2], numbers[1::2]
    for first, second in ((even, odd), (even**2, odd**2), (odd[:-1], even[1:])):
        assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(first.size)


@pytest.mark.parametrize("draw", ["uniform", "normal"])
def test_a_block_gets_the_numbers_of_its_place(draw):
    def numbers(start, count):
        made = Noise(secret(1), "test")
        more = (1.0,) if draw == "normal" else ()
        return getattr(made, draw)("w", start, count, *more)

    whole = numbers(0, 40_000)
    for start, count in ((0, 1), (1, 63), (63, 2), (8191, 2), (5, 30_000), (39_999, 1), (7, 0)):
        assert numbers(start, count).tobytes() == whole[start : start + count].tobytes()


def test_another_key_purpose_tensor_or_place_gives_other_numbers():
    drawn = [
        Noise(secret(1), "test").uniform("w", 0, 64),
        Noise(secret(2), "test").uniform("w", 0, 64),
        Noise(secret(1), "release").uniform("w", 0, 64),
        Noise(secret(1), "test").uniform("v", 0, 64),
        Noise(secret(1), "test").uniform("w", 8192, 64),
        Noise(secret(1), "test").uniform("w", 64, 64),
    ]
    assert len({numbers.tobytes() for numbers in drawn}) == len(drawn)
    assert all(abs(np.corrcoef(drawn[0], other)[0, 1]) < 0.5 for other in drawn[1:])


def test_uniform_numbers_are_never_0_or_1(monkeypatch):
    class Ends:
        def __init__(self, _):
            pass

        def digest(self, length):
            return (b"\0" * 8 + b"\xff" * 8) * (length // 16)

    monkeypatch.setattr(noise, "shake_256", Ends)
    low, high = noise.Noise(secret(1), "test").uniform("w", 0, 2)
    assert 0 < low < high < 1
    assert np.isfinite(laplace_quantile(np.array([low, high]))).all()


def test_the_laplace_distribution_is_the_one_of_the_books():
    points = np.array([-3.0, -0.1, 0.0, 0.1, 7.0])
    assert laplace_above(points) == pytest.approx(stats.laplace.sf(points))
    shares = np.array([0.01, 0.3, 0.5, 0.8])
    assert laplace_quantile(shares) == pytest.approx(stats.laplace.ppf(shares))


@pytest.mark.parametrize(
    ("made", "distribution"),
    [
        (LaplaceNoise(0.5), stats.laplace(scale=0.5)),
        (GaussianNoise(0.5), stats.norm(scale=0.5)),
    ],
)
def test_a_filter_adds_noise_of_its_scale_to_every_floating_number(made, distribution):
    update = {"w": np.full((300, 200), 7.0), "b": np.zeros(MANY), "n": np.array(3)}
    out = sent(made, update)
    first, second = (out["w"] - 7.0).reshape(-1), out["b"]
    assert fits(first, distribution)
    assert fits(second, distribution)
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(MANY)
    assert out["n"] == 0  # a counter stays at home


def test_the_same_secret_gives_two_updates_different_noise():
    """The same noise on both would give away their difference."""
    first = np.zeros(1000)
    second = first.copy()
    second[0] = 1e-9
    added = [sent(GaussianNoise(1.0), update) - update for update in (first, second, first)]
    assert added[0].tobytes() == added[2].tobytes()
    assert abs(np.corrcoef(added[0], added[1])[0, 1]) < 0.15


def test_another_scale_is_no_multiple_of_the_same_noise():
    update = np.zeros(1000)
    added = [sent(GaussianNoise(scale), update) for scale in (1.0, 2.0)]
    assert abs(np.corrcoef(*added)[0, 1]) < 0.15


def test_without_a_secret_nothing_is_sent():
    from mmar_runner.errors import TaskFailedError
    from mmar_runner.interfaces.aggregator import UpdateKind
    from mmar_runner.interfaces.filter import FilterContext

    without = FilterContext("site-1", 0, UpdateKind.WEIGHTS, 5)
    with pytest.raises(TaskFailedError, match="a secret of 32 bytes"):
        GaussianNoise(1.0).begin(without)
