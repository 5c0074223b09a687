# SPDX-License-Identifier: Apache-2.0
"""The benchmark of scale measures what it says; no figure of time is judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "benchmarks" / "scale.py"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def measured(case: str, *options: str) -> dict[str, Any]:
    call = [sys.executable, str(BENCH), "--case", case, "--repeats", "1", *options]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [line["case"] for line in lines] == ["machine", case]
    found: dict[str, Any] = lines[1]
    return found


def test_a_tree_stands_beside_the_flat_federation() -> None:
    found = measured("tree-8", "--rounds", "4")

    assert found["same_models"] == 1
    assert len(found["final_sha256"]) == 64
    for durability in ("full", "process"):
        one = found[durability]
        assert 0 < one["flat_s"] < 10
        assert one["ratio"] == pytest.approx(one["tree_s"] / one["flat_s"], rel=0.01)
    traffic = found["traffic_1MB"]
    assert traffic["models_down"] == pytest.approx(2, rel=0.01)
    assert traffic["sums_up"] == pytest.approx(2, rel=0.01)
    assert traffic["socket_models_down"] == pytest.approx(2, rel=0.05)
    assert traffic["socket_sums_up"] == pytest.approx(2, rel=0.05)
    assert traffic["flat"]["socket_models_down"] == pytest.approx(8, rel=0.05)
    assert traffic["flat"]["socket_sums_up"] == pytest.approx(8 / 2, rel=0.05)


def test_a_new_client_is_followed_from_its_start_to_its_first_round() -> None:
    found = measured("arrival-1MB")

    until = list(found["until_s"].values())
    assert list(found["until_s"]) == ["package_received", "registered", "model_received", "trained"]
    assert until == sorted(until)
    assert until[0] > 0
    assert found["total_s"] == until[-1]
    assert found["beyond_s"] == pytest.approx(found["total_s"] - found["imports_s"], abs=0.01)


def test_models_that_differ_are_a_missed_bound(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    marker = "<!-- written by make bench-scale: {} -->\n"
    page.write_text(marker.format("begin") + marker.format("end"))
    program = (
        "import dataclasses, pathlib, sys, page\n"
        "where = pathlib.Path(sys.argv.pop(1))\n"
        "page.BENCH_SCALE = dataclasses.replace(page.BENCH_SCALE, page=where)\n"
        "import scale\n"
        "scale.CASES['tree-64'] = lambda plan: {'same_models': 0.0, 'full': {'ratio': 1.5}}\n"
        "scale.main()\n"
    )
    command = [sys.executable, "-c", program, str(page), "--write", "--case", "tree-64"]
    done = subprocess.run(command, cwd=BENCH.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("missed: root, 4 combiners, 64 sessions: every model")
    assert "| 0 | ≥ 1 | **no** |" in page.read_text()
    assert "| 1.50 x | ≤ 2 x | yes |" in page.read_text()
