# SPDX-License-Identifier: Apache-2.0
"""The samples of round robin and of cross-site validation run, and show what they are about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.testing.processes import RunningProgram

MMARS = Path(__file__).parents[2] / "mmars"


@pytest.fixture
def simulated(stack: Any, tmp_path: Path) -> Any:
    """Run a sample and return its run's folder."""

    def run(name: str, *options: str) -> Path:
        arguments = ["simulate", str(MMARS / name), "--workspace", str(tmp_path / "ws"), *options]
        program = RunningProgram(arguments, folder=tmp_path / "said", label=name)
        assert stack.enter_context(program).wait(timeout=50) == 0, program.stderr
        return tmp_path / "ws" / "run_1"

    return run


def test_the_model_goes_round(simulated: Any) -> None:
    run = simulated("digits_round_robin", "--clients", "2", "--rounds", "3", "--set", "ALPHA=100")
    summary = json.loads((run / "summary.json").read_bytes())
    turns = [[c["client"] for c in entry["contributions"]] for entry in summary["rounds"]]
    assert turns == [["site-1"], ["site-2"], ["site-1"]]
    accuracy = [entry["metrics"]["val_accuracy"] for entry in summary["rounds"]]
    assert accuracy[-1] > accuracy[0], "each site works on what the one before has learnt"


def test_every_model_meets_every_sites_digits(simulated: Any) -> None:
    run = simulated("digits_cross_site", "--clients", "2", "--rounds", "2")
    folder = run / "cross_site_validation"
    matrix = json.loads((folder / "results.json").read_bytes())
    owners = {"FL_global_model", "best_FL_global_model", "site-1", "site-2"}
    assert {site: set(row) for site, row in matrix.items()} == dict.fromkeys(
        ("site-1", "site-2"), owners
    )
    cells = [cell for row in matrix.values() for cell in row.values()]
    assert all(0 <= cell["val_accuracy"] <= 1 and cell["val_loss"] > 0 for cell in cells)
    own = matrix["site-1"]["site-1"]["val_accuracy"]
    assert own > matrix["site-1"]["site-2"]["val_accuracy"], "a site's model knows its own digits"
    lines = (folder / "matrix.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * len(owners) * 2
    assert json.loads((run / "summary.json").read_bytes())["cross_site_validation"]["empty"] == []
