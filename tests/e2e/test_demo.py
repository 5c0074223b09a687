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
@pytest.mark.parametrize("trust", [[], ["--insecure"]], ids=["kits", "insecure"])
def test_three_hospitals_are_better_together(tmp_path, trust):
    options = ["--json", "--seed", "3", "--workspace", str(tmp_path), *trust]
    done = subprocess.run(
        [sys.executable, str(DEMO), *options],
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
    assert (tmp_path / "breast_cancer" / "signature.json").exists() is not bool(trust)
    assert (tmp_path / "kits" / "site-1" / "client.key").exists() is not bool(trust)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_says_every_command_that_it_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, str(DEMO), "--rounds", "1", "--workspace", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if "  mmar-runner " in line]
    said = [line[1] for line in lines]
    assert said == ["provision", "sign-mmar", "run-server", *["run-client"] * 3]
    assert "the federation" in done.stdout
    after = done.stdout.split("The whole demonstration took")[1]
    assert f"are in {tmp_path}/server/run_1" in after
    named = [Path(word) for word in after.split() if word.startswith("docs/")]
    assert len(named) == 2
    assert all((DEMO.parents[1] / page).is_file() for page in named)
