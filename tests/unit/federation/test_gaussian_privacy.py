# SPDX-License-Identifier: Apache-2.0
"""The epsilon of Gaussian noise, against the library that counts in a run."""

from __future__ import annotations

import pytest

from mmar_runner.federation.gaussian_privacy import gaussian_epsilon


@pytest.mark.parametrize("noise", [0.02, 0.3, 1.0, 7.5, 400.0])
@pytest.mark.parametrize("releases", [1, 10, 2000])
@pytest.mark.parametrize("delta", [1e-12, 1e-5, 0.1])
def test_it_is_the_librarys_number(noise, releases, delta):
    library = pytest.importorskip("dp_accounting")
    theirs = library.get_epsilon_gaussian(noise / releases**0.5, delta)
    assert gaussian_epsilon(noise, releases, delta) == pytest.approx(theirs, rel=1e-6, abs=1e-9)


def test_nothing_spends_nothing():
    assert gaussian_epsilon(1.0, 0, 1e-5) == 0.0


def test_a_delta_that_allows_everything_costs_nothing():
    assert gaussian_epsilon(1e6, 1, 0.5) == 0.0
