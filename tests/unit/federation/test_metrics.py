# SPDX-License-Identifier: Apache-2.0
"""Which names of metrics a client may use, and how many."""

from __future__ import annotations

import pytest

from mmar_runner.federation.metrics import METRICS_RULE, are_metric_names


@pytest.mark.parametrize(
    ("names", "may"),
    [
        ([], True),
        (["loss", "val_dice 1"], True),
        (["l"], True),
        ([""], False),
        (["loss", ""], False),
        (["n" * 128], True),
        (["n" * 129], False),
        (["loss\n"], False),
        (["\x1b[31mloss", "loss"], False),
        ([f"m{number}" for number in range(256)], True),
        ([f"m{number}" for number in range(257)], False),
    ],
)
def test_names_are_few_short_and_printable(names: list[str], may: bool) -> None:
    assert are_metric_names(names) is may


def test_the_rule_is_said_in_numbers() -> None:
    assert "at most 256 metrics" in METRICS_RULE
    assert "1 to 128 printable letters" in METRICS_RULE
