# SPDX-License-Identifier: Apache-2.0
"""FedAvg and the robust rules agree with their papers' formulas, ten rounds long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner_fedavg.fedavg import FedAvg
from mmar_runner_robust.bulyan import Bulyan
from mmar_runner_robust.coordinates import Median, TrimmedMean
from mmar_runner_robust.krum import Krum, MultiKrum
from tests.golden import make_golden
from tests.golden.vectors import hold, read

if TYPE_CHECKING:
    from pathlib import Path

RULES = {
    "FedAvg": FedAvg,
    "Median": Median,
    "TrimmedMean": TrimmedMean,
    "Krum": Krum,
    "MultiKrum": MultiKrum,
    "Bulyan": Bulyan,
}


@pytest.mark.parametrize("kind", UpdateKind)
@pytest.mark.parametrize("rule", RULES)
def test_ten_rounds_are_the_papers(tmp_path: Path, rule: str, kind: UpdateKind) -> None:
    hold(RULES[rule](**read().arguments[rule]), rule, tmp_path, kind)


def test_another_rule_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"Median, round 0: conv\.weight is"):
        hold(FedAvg(), "Median", tmp_path, UpdateKind.WEIGHT_DIFF)


def test_the_vectors_are_what_their_script_makes() -> None:
    stored = read()
    base, differences, samples = make_golden.drawn()
    assert np.array_equal(base, stored.base)
    assert np.array_equal(differences, stored.differences)
    for rule, (arguments, make) in make_golden.RULES.items():
        made = make_golden.rounds(make(**arguments), base, differences, samples)
        np.testing.assert_allclose(made, stored.expected[rule], rtol=1e-6, atol=1e-9)
