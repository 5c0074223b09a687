# SPDX-License-Identifier: Apache-2.0
"""The page of metrics is held to the catalog in the code."""

import re
from pathlib import Path

from mmar_runner.metrics.catalog import METRICS, REASONS, ROUND_SECONDS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*) \| (.+) \|$", re.MULTILINE)
ROWS = {match[1]: match.groups()[1:] for match in ROW.finditer(PAGE)}


def test_every_metric_has_its_row_and_no_other_has_one():
    assert list(ROWS) == [one.name for one in METRICS]


def test_kind_and_words_are_those_of_the_code():
    assert {name: (kind, said) for name, (kind, _, said) in ROWS.items()} == {
        one.name: (one.kind.value, one.help) for one in METRICS
    }


def test_every_label_is_named_with_its_values():
    for one in METRICS:
        named = re.findall(r"`([^`]+)`", ROWS[one.name][1])
        expected = []
        for label, values in one.labels.items():
            expected += [label, *(() if values == REASONS else values)]
        assert named == expected


def test_the_buckets_are_named():
    named = ", ".join(f"{seconds:g}" for seconds in ROUND_SECONDS)
    assert f"Buckets of `mmar_round_seconds`, in seconds: {named}." in PAGE
