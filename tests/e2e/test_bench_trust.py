# SPDX-License-Identifier: Apache-2.0
"""The benchmark of trust measures what it says; no figure is judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "benchmarks" / "trust.py"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_signing_and_verifying_stand_beside_hashing():
    call = [sys.executable, str(BENCH), "--files", "20", "--megabytes", "2", "--repeats", "1"]

    done = subprocess.run(call, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["case"] for line in lines] == [
        *("sign", "verify", "explain", "explain-small", "admit", "admit-again")
    ]
    for line in lines:
        assert line["files"] <= 21
        assert 0 < line["ours_s"] <= line["ours_slowest_s"]
        assert line["ratio"] == pytest.approx(line["ours_s"] / line["floor_s"], rel=0.1)
