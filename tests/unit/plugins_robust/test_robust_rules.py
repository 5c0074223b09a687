# SPDX-License-Identifier: Apache-2.0
"""What the robust rules do with a handful of numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mmar_runner.interfaces.aggregator import Contribution
from mmar_runner.testing.contracts.combining import Updates, combined, context, frozen
from mmar_runner_robust.bulyan import Bulyan, around_median
from mmar_runner_robust.clipping import NormClipping
from mmar_runner_robust.coordinates import Median, TrimmedMean
from mmar_runner_robust.geometric import GeometricMedian, weiszfeld
from mmar_runner_robust.krum import Krum, MultiKrum, scores

if TYPE_CHECKING:
    from mmar_runner_robust.rule import RobustRule


def updates(
    rows: list[Any], samples: list[float] | None = None, dtype: Any = np.float64
) -> Updates:
    """Return updates of one tensor, a row a client."""
    counts = samples or [1.0] * len(rows)
    said = [Contribution(f"site-{i + 1}", count) for i, count in enumerate(counts)]
    return Updates(said, frozen(np.array(rows, dtype=dtype)))


def result(rule: RobustRule, rows: list[Any], samples: list[float] | None = None) -> list[float]:
    with np.errstate(over="ignore", invalid="ignore"):  # as the server walks
        return combined(rule, updates(rows, samples)).tolist()


def test_median_of_odd_and_even_numbers() -> None:
    assert result(Median(), [[1, 9], [2, -5], [50, 0]]) == [2, 0]
    assert result(Median(), [[1, 9], [2, -5], [50, 0], [4, 1]]) == [3, 0.5]
    assert result(Median(), [[7, 8]]) == [7, 8]


def test_the_largest_numbers_have_a_median() -> None:
    assert result(Median(), [[1.7e308]] * 4) == [1.7e308]


def test_who_claims_many_samples_moves_no_median() -> None:
    rows = [[1.0], [2.0], [50.0]]
    assert result(Median(), rows, [1, 1, 1e9]) == result(Median(), rows)


@pytest.mark.parametrize("clients", [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 23, 24, 25, 40])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.bool_])
def test_medians_and_trimmed_means_are_numpys(clients: int, dtype: Any) -> None:
    values = np.random.default_rng(clients).normal(size=(clients, 333)) * 5
    tensors = values > 0 if dtype == np.bool_ else values.astype(dtype)
    tensors[:, :40] = tensors[0, 0]  # ties
    sent = updates(tensors.tolist(), dtype=dtype)
    wide = tensors.astype(np.float64)
    np.testing.assert_allclose(combined(Median(), sent), np.median(wide, axis=0), rtol=1e-15)
    trimmed = (clients - 1) // 2
    kept = np.sort(wide, axis=0)[trimmed : clients - trimmed]
    found = combined(TrimmedMean(trimmed), sent)
    np.testing.assert_allclose(found, kept.mean(axis=0), rtol=1e-12, atol=1e-15)


def test_zeros_have_one_sign() -> None:
    """Which of 0 and -0 a processor sorts first is its own affair."""
    for rows in ([[-0.0], [0.0], [-0.0]], [[0.0], [-0.0], [-0.0]]):
        for rule in (Median(), TrimmedMean(1), Bulyan(0)):
            assert math.copysign(1, result(rule, rows)[0]) == 1


def test_krum_takes_the_update_in_the_middle_of_most() -> None:
    rows = [[0.0, 0.0], [1.0, 0.0], [0.4, 0.1], [90.0, 90.0], [0.0, 1.0]]
    rule = Krum(1)
    assert result(rule, rows) == [0.4, 0.1]
    assert rule.facts() == {"chosen": ["site-3"]}


def test_equal_scores_go_by_the_names() -> None:
    rule = Krum(0)
    sent = updates([[5.0], [5.0], [5.0]]).reordered([2, 0, 1])
    combined(rule, sent)
    assert rule.facts() == {"chosen": ["site-1"]}


def test_multi_krum_averages_those_who_are_close_to_each_other() -> None:
    rows = [[0.0], [2.0], [1.0], [90.0], [-80.0], [3.0], [4.0]]
    rule = MultiKrum(2)
    assert result(rule, rows) == [2.0]
    assert rule.facts() == {"chosen": [f"site-{i}" for i in (1, 2, 3, 6, 7)]}
    assert result(MultiKrum(2, num_selected=1), rows) == result(Krum(2), rows)
    assert result(MultiKrum(2, num_selected=99), rows) == [np.mean(rows)]


def test_a_score_counts_the_closest_others() -> None:
    squared = np.array([[0, 1, 4, 9], [1, 0, 1, 4], [4, 1, 0, 1], [9, 4, 1, 0]], dtype=float)
    assert scores(squared, range(4), 0) == [5, 2, 2, 5]
    assert scores(squared, range(4), 1) == [1, 1, 1, 1]
    assert scores(squared, [0, 3], 1) == [9, 9]  # the one that there is


def test_bulyan_averages_around_the_median_of_the_chosen() -> None:
    rows = [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [1000.0]]
    rule = Bulyan(1)
    (found,) = result(rule, rows)
    assert 1 <= found <= 4
    assert "site-7" not in rule.facts()["chosen"]
    assert len(rule.facts()["chosen"]) == 5


@pytest.mark.parametrize(
    ("values", "kept", "mean"),
    [
        ([0, 1, 2, 3, 10], 3, 2.0),
        ([-10, 1, 2, 3, 4], 3, 2.0),  # 1 and 3 are equally close, and 2 is the median
        ([0, 0, 0, 5, 5], 3, 0.0),
        ([-1, -1, 0, 0.5], 3, -0.5 / 3),  # -1 twice is as close as 0.5 once is not
        ([0, 2, 4], 1, 2.0),
        ([0, 2, 4], 2, 1.0),  # of two that are equally close, the lesser
    ],
)
def test_a_window_holds_the_values_closest_to_the_median(
    values: list[float], kept: int, mean: float
) -> None:
    found = np.empty(1)
    around_median([np.array([value], dtype=np.float64) for value in values], kept, found)
    if values == [-1, -1, 0, 0.5]:
        mean = np.mean([-1, -1, 0])  # the median is -0.5: all three are half a step away
    assert found[0] == pytest.approx(mean)


def test_windows_are_what_sorting_by_distance_gives() -> None:
    random = np.random.default_rng(5)
    for rows, kept in ((7, 3), (11, 3), (8, 4), (5, 5)):
        values = np.sort(random.integers(-4, 5, size=(rows, 500)).astype(np.float64), axis=0)
        found = np.empty(500)
        around_median(list(values), kept, found)
        order = np.argsort(np.abs(values - np.median(values, axis=0)), axis=0, kind="stable")
        closest = np.take_along_axis(values, order[:kept], axis=0)
        np.testing.assert_allclose(found, closest.mean(axis=0), atol=1e-12)


def test_the_geometric_median_of_a_square_is_its_middle() -> None:
    corners = [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]]
    np.testing.assert_allclose(result(GeometricMedian(), corners), [1, 1], atol=1e-9)


def test_the_geometric_median_has_the_least_sum_of_distances() -> None:
    random = np.random.default_rng(1)
    points = random.normal(size=(9, 30))
    points[7:] *= 40
    samples = random.integers(1, 9, size=9).astype(float)

    def cost(point: Any) -> float:
        return float((samples * np.linalg.norm(points - point, axis=1)).sum())

    rule = GeometricMedian(iterations=1000)
    found = np.array(result(rule, points.tolist(), samples.tolist()))
    least = cost(found)
    assert sum(rule.facts()["weights"].values()) == pytest.approx(1)
    for _ in range(50):
        assert cost(found + random.normal(size=30) * 0.01) >= least


def test_who_claims_many_samples_owns_the_weighted_median_only() -> None:
    rows, samples = [[0.0], [1.0], [2.0], [3.0], [100.0]], [1.0, 1.0, 1.0, 1.0, 1e6]
    assert result(GeometricMedian(), rows, samples)[0] == pytest.approx(100, abs=0.1)
    assert result(GeometricMedian(weighted=False), rows, samples)[0] == pytest.approx(2, abs=1e-3)


@pytest.mark.parametrize("far", [1e3, 1e6, 1e12, 1e30, 1e155, 1e300])
def test_however_far_one_goes_the_geometric_median_stays(far: float) -> None:
    random = np.random.default_rng(2)
    points = random.normal(size=(7, 20))
    honest = points[:5].copy()
    points[5], points[6] = far, -far
    found = np.array(result(GeometricMedian(), points.tolist()))
    assert np.linalg.norm(found - honest.mean(axis=0)) < 3


def test_more_than_half_at_one_place_are_the_median() -> None:
    shares = np.full(5, 0.2)
    places = np.array([0.0, 0.0, 0.0, 5.0, 7.0])
    squared = (places[:, None] - places[None, :]) ** 2
    weights = weiszfeld(squared, shares, iterations=50, smoothing=1e-6)
    assert weights @ places == pytest.approx(0, abs=1e-12)


def test_clipping_bounds_a_difference_and_keeps_its_direction() -> None:
    rule = NormClipping(5.0)
    rows = [[3.0, 4.0], [30.0, 40.0]]
    np.testing.assert_allclose(result(rule, rows, [1, 3]), [3, 4], rtol=1e-12)
    assert rule.facts() == {"clipped": {"site-2": pytest.approx(0.1)}}
    assert result(NormClipping(5.0), [[1e300, 0.0], [0.0, 1.0]]) == [0.0, 0.5]


def test_norms_and_distances_are_of_whole_updates_and_floating_tensors() -> None:
    rule = NormClipping(5.0)
    sent = updates([[3.0], [30.0]])
    rule.begin(context())
    weights = np.array(rule.weigh(sent.contributions))
    counts = frozen(np.array([[1000], [1]]))
    for name, block in (("a", sent.tensors), ("n", counts), ("b", sent.tensors * 4 / 3)):
        rule.measure(name, block, weights)
    assert rule.combine("a", sent.tensors, weights).tolist() == pytest.approx([3.0])
    assert rule.combine("n", counts, weights).tolist() == pytest.approx([500.05])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TrimmedMean(-1), "num_malicious is -1"),
        (lambda: Krum(True), "num_malicious is True"),
        (lambda: Bulyan(1.5), "num_malicious is 1.5"),
        (lambda: MultiKrum(1, 0), "num_selected is 0"),
        (lambda: NormClipping(0.0), "max_norm is 0.0"),
        (lambda: NormClipping(math.inf), "max_norm is inf"),
        (lambda: GeometricMedian(iterations=0), "iterations is 0"),
        (lambda: GeometricMedian(smoothing=0.0), "smoothing is 0.0"),
        (lambda: Median("("), "is not a regular expression"),
    ],
)
def test_arguments_outside_their_range_are_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_for_how_many_clients_a_rule_is_defined() -> None:
    least = {TrimmedMean(2): 5, Krum(2): 7, MultiKrum(2): 7, Bulyan(2): 11, Median(): 1}
    for rule, number in least.items():
        assert rule.min_updates == number


def test_what_is_excluded_is_named() -> None:
    rule = Median(exclude_vars="running_")
    assert rule.excludes("bn.running_mean")
    assert not rule.excludes("weight")
    assert not Median("").excludes("weight")
