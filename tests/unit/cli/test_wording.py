# SPDX-License-Identifier: Apache-2.0
"""Bytes, durations and metrics in words."""

import pytest

from mmar_runner.cli.views.wording import human_bytes, human_metrics, human_seconds


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (100_000_000, "95.4 MiB"),
        (5 << 40, "5.0 TiB"),
    ],
)
def test_bytes_for_people(count, text):
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "12 ms"), (3.44, "3.4 s"), (125, "2 min 05 s"), (3725, "1 h 02 min")],
)
def test_durations_for_people(seconds, text):
    assert human_seconds(seconds) == text


def test_metrics_for_people_are_numbers_only():
    assert human_metrics({"b": 0.5, "a": 1, "c": "x", "d": True, "e": {"f": 1}}) == "a 1, b 0.5"
    assert human_metrics(None) == ""
