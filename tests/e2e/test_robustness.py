# SPDX-License-Identifier: Apache-2.0
"""Sites that attack: a short form of ``make robustness``, over processes as users start them."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
ASKED = Namespace(rounds=10, epochs=1, rate=0.02, alpha=1000.0, seed=0, pooled=True)


@pytest.fixture(scope="module")
def robustness() -> Iterator[Any]:
    """The module of benchmarks/, which is no package."""
    sys.path.insert(0, str(BENCHMARKS))
    import robustness as module

    yield module
    sys.path.remove(str(BENCHMARKS))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_of_seven_that_turn_their_updates_round_harm_a_mean_and_no_robust_rule(
    robustness: Any,
) -> None:
    mean, robust = robustness.CASES["FedAvg"], robustness.CASES["MultiKrum"]
    harmed = robustness.accuracy_of(mean, attacked=True, asked=ASKED)
    clean = robustness.accuracy_of(robust, attacked=False, asked=ASKED)
    attacked = robustness.accuracy_of(robust, attacked=True, asked=ASKED)
    assert harmed < 0.5
    assert clean > 0.9
    assert robustness.as_it_should(robust, clean, attacked), (clean, attacked)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_who_attacks_a_mean_is_named_while_it_runs_and_afterwards(
    robustness: Any, tmp_path: Path
) -> None:
    archive, workspace = tmp_path / "mmar", tmp_path / "ws"
    robustness.write_archive(archive, robustness.CASES["FedAvg"], attacked=True)
    command = [sys.executable, "-m", "mmar_runner", "--log-format", "json", "simulate"]
    command += [str(archive), "--clients", "7", "--rounds", "2", "--workspace", str(workspace)]
    command += ["--plugins-dir", str(robustness.ATTACKERS)]
    for variable in ("POOLED=true", "LOCAL_EPOCHS=1", "learning_rate=0.02", "NUM_SITES=7"):
        command += ["--set", variable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    attackers = {"site-6", "site-7"}
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    said = [event["data"] for event in events if event["topic"] == "outlier"]
    assert {one["client"] for one in said if one["round"] == 0} == attackers
    shown = subprocess.run(
        [sys.executable, "-m", "mmar_runner", "status", str(workspace)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "site-7 is unlike the others in " in shown
    assert "times as long as the middle one" in shown


def test_what_is_to_hold_is_judged(robustness: Any) -> None:
    holds, shows = robustness.CASES["Median"], robustness.CASES["FedAvg"]
    assert robustness.as_it_should(holds, 0.97, 0.951)
    assert not robustness.as_it_should(holds, 0.97, 0.949)
    assert robustness.as_it_should(shows, 0.97, 0.1)
    assert not robustness.as_it_should(shows, 0.97, 0.96)
    text = robustness.table({"Median": (0.97, 0.951)})
    assert "| Median | 7 | -10 times their difference | 97.0% | 95.1% | 1.9 points |" in text


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_sample_says_whom_it_chose(tmp_path: Path) -> None:
    sample = BENCHMARKS.parent / "mmars" / "digits_robust"
    command = [sys.executable, "-m", "mmar_runner", "simulate", str(sample), "--clients", "7"]
    command += ["--rounds", "1", "--workspace", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run_1" / "summary.json").read_text())
    (entry,) = summary["rounds"]
    assert len(entry["contributions"]) == 7
    chosen = entry["aggregation"]["chosen"]
    assert len(chosen) == 5
    assert set(chosen) < {one["client"] for one in entry["contributions"]}
