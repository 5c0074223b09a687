# SPDX-License-Identifier: Apache-2.0
"""`make demo` holds what it shows: the federation is as good as pooling, better than alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "benchmarks" / "demo.py"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_three_hospitals_are_better_together(tmp_path):
    done = subprocess.run(
        [sys.executable, str(DEMO), "--json", "--seed", "3", "--workspace", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [one["samples"] for one in result["alone"]] == [62, 36, 20]
    federation, pooled, alone = (result[n] for n in ("federation", "pooled", "mean_alone"))
    assert federation["samples"] == pooled["samples"] == 118
    assert federation["auc"] > pooled["auc"] - 0.01
    assert federation["auc"] > alone["auc"]
    assert federation["accuracy"] > alone["accuracy"] + 0.03
    assert result["rounds"] == 12
