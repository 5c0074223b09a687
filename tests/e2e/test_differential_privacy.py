# SPDX-License-Identifier: Apache-2.0
"""Differential privacy in whole runs: what is spent is seen everywhere, and never more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmar_runner.testing.builders import MmarBuilder

DIGITS = Path(__file__).parents[2] / "mmars" / "digits_dp"


def program(*words, code=0):
    command = [sys.executable, "-m", "mmar_runner", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def summary(workspace):
    return json.loads((workspace / "run_1" / "summary.json").read_bytes())


@pytest.fixture
def simulate(tmp_path):
    def run(mmar, *options, workspace="ws", clients=3, code=0):
        said = program(
            "simulate",
            mmar,
            "--clients",
            clients,
            "--workspace",
            tmp_path / workspace,
            *options,
            code=code,
        )
        return summary(tmp_path / workspace), said

    return run


def central(**args):
    args = {"max_norm": 1, "noise_multiplier": 1, "max_epsilon": 8, **args}
    return MmarBuilder().aggregator("DPFedAvg", **args).trainer("EchoTrainer", noise=0.5)


@pytest.mark.timeout(120)
def test_what_the_server_spends_is_in_summary_and_report(simulate, tmp_path):
    mmar = central().write(tmp_path)
    told, _ = simulate(mmar, "--rounds", "2")
    again, _ = simulate(mmar, "--rounds", "2", workspace="again")
    spent = [entry["aggregation"]["dp_epsilon"] for entry in told["rounds"]]
    assert 0 < spent[0] < spent[1] <= 8
    assert told["status"] == "finished"
    assert [r["model_sha256"] for r in told["rounds"]] == [
        r["model_sha256"] for r in again["rounds"]
    ]
    program("report", tmp_path / "ws" / "run_1", "--out", tmp_path / "page.html")
    assert "dp_epsilon by round" in (tmp_path / "page.html").read_text()


@pytest.mark.timeout(120)
def test_rounds_that_do_not_fit_the_budget_are_refused_before_anybody_trains(tmp_path):
    mmar = central().write(tmp_path)
    workspace = tmp_path / "ws"
    command = ("simulate", mmar, "--clients", 3, "--rounds", 4, "--workspace", workspace)
    said = program(*command, code=1)
    assert "MMAR653: 4 rounds of 'DPFedAvg' spend an epsilon of 9.997, and it is given 8" in said
    assert "It lasts for 2 rounds." in said
    assert not workspace.exists()


@pytest.mark.timeout(120)
def test_rounds_that_a_sites_own_budget_does_not_last_for_are_refused_too(tmp_path):
    args = {"max_norm": 1, "noise_multiplier": 4, "epsilon": 10}
    mmar = MmarBuilder().trainer("EchoTrainer").client_filter("LocalDP", **args).write(tmp_path)
    workspace = tmp_path / "ws"
    command = ("simulate", mmar, "--clients", 1, "--rounds", 90, "--workspace", workspace)
    said = program(*command, code=1)
    assert "MMAR653: 90 rounds of 'LocalDP' spend an epsilon of" in said
    assert not workspace.exists()


@pytest.mark.timeout(180)
def test_what_sites_spend_is_theirs_and_a_simulation_is_the_same_again(simulate, tmp_path):
    args = {"max_norm": 1, "noise_multiplier": 4, "epsilon": 10}
    builder = MmarBuilder().trainer("EchoTrainer", noise=0.5)
    mmar = builder.client_filter("LocalDP", **args).write(tmp_path)
    first, _ = simulate(mmar, "--rounds", "2", clients=1)
    spent = [entry["metrics"]["dp_epsilon"] for entry in first["rounds"]]
    assert 0 < spent[0] < spent[1] <= 10
    again, _ = simulate(mmar, "--rounds", "2", workspace="again", clients=1)
    hashes = [[entry["model_sha256"] for entry in told["rounds"]] for told in (first, again)]
    assert hashes[0] == hashes[1]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_sample_learns_within_its_budget(tmp_path):
    program("simulate", DIGITS, "--clients", 60, "--workspace", tmp_path / "ws")
    rounds = summary(tmp_path / "ws")["rounds"]
    assert rounds[-1]["aggregation"]["dp_epsilon"] == pytest.approx(9.93, abs=0.01)
    # Of the model before the last round; guessing gives 0.1.
    assert rounds[-1]["metrics"]["val_accuracy"] > 0.4
