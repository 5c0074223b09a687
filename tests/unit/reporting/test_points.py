# SPDX-License-Identifier: Apache-2.0
"""Numbers by round: what is none, what is thinned, and where axes have their ticks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmar_runner.reporting.points import Points, number, quantile, stretches, thinned
from mmar_runner.reporting.scales import Scale, rounded_out, ticks, widened

FINITE = st.floats(min_value=-1e300, max_value=1e300)


@pytest.mark.parametrize("value", [None, True, "1", [], math.nan, math.inf, -math.inf, 10**400])
def test_what_is_no_number_is_nan(value):
    assert math.isnan(number(value))


@pytest.mark.parametrize(("value", "found"), [(1, 1.0), (0.5, 0.5), (1.7e308, 1e300)])
def test_a_number_is_one_with_which_can_be_counted(value, found):
    assert number(value) == found
    assert type(number(value)) is float


def test_points_leave_out_what_was_not_said():
    points = Points()
    points.rounds.extend([0, 1, 2])
    points.values.extend([1.0, math.nan, 3.0])
    assert list(points) == [(0, 1.0), (2, 3.0)]
    assert (points.last, points.total, points.middle) == (3.0, 4.0, 2.0)
    points.cut(1)
    assert list(points) == [(0, 1.0)]
    points.cut(0)
    assert (points.last, points.total, points.middle) == (None, 0, None)


@given(st.lists(FINITE, min_size=1, max_size=500), st.integers(4, 50))
def test_a_thinned_curve_keeps_its_ends_and_its_extremes(values, most):
    points = list(enumerate(values))
    kept = thinned(points, most)
    assert len(kept) <= most + 2
    assert kept == sorted(set(kept))
    assert set(kept) <= set(points)
    assert {points[0], points[-1]} <= set(kept)
    heights = [value for _, value in kept]
    assert (min(heights), max(heights)) == (min(values), max(values))


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 60))
def test_stretches_hold_every_round_once(first, length, most):
    parts = stretches(first, first + length, most)
    assert len(parts) <= most
    assert [at for part in parts for at in part] == list(range(first, first + length + 1))


@given(FINITE, FINITE)
def test_an_axis_holds_its_numbers_and_has_a_few_ticks(one, other):
    low, high = widened(min(one, other), max(one, other))
    begin, end = rounded_out(low, high, 4)
    slack = 1e-9 * max(abs(begin), abs(end))
    assert begin <= low + slack
    assert end >= high - slack
    assert begin < end
    assert len(ticks(begin, end, 4)) <= 20
    place = Scale(begin, end, 0.0, 100.0)
    assert -1e-6 <= place(one) <= 100 + 1e-6


def test_ticks_are_round_numbers():
    assert ticks(0.0, 1.0, 4) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert ticks(-0.5, 3.5, 7, whole=True) == [0.0, 1.0, 2.0, 3.0]
    assert ticks(-0.5, 0.5, 7, whole=True) == [0.0]


def test_a_quantile_is_one_of_the_numbers():
    assert [quantile([1.0, 2.0, 3.0, 4.0], share) for share in (0.0, 0.25, 0.75, 1.0)] == [
        1.0,
        2.0,
        4.0,
        4.0,
    ]
