# SPDX-License-Identifier: Apache-2.0
import pytest

from mmar_runner.federation.fedbuff import MAX_STALENESS, FedBuff, staleness_factor


def test_an_update_counts_less_the_older_its_model_was():
    assert [staleness_factor(n) for n in (0, 3, 8)] == [1.0, 0.5, pytest.approx(1 / 3)]


@pytest.mark.parametrize("staleness", [-1, MAX_STALENESS + 1])
def test_a_staleness_for_which_no_models_are_kept_is_refused(staleness):
    with pytest.raises(ValueError, match="max_staleness"):
        FedBuff(max_staleness=staleness)


def test_a_bound_of_no_version_is_a_bound() -> None:
    assert FedBuff(0).max_staleness == 0
    assert FedBuff().max_staleness == 10
