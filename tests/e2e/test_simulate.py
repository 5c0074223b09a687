# SPDX-License-Identifier: Apache-2.0
"""Simulations as real programs."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.processes import RunningClient, RunningProgram, RunningServer


@pytest.fixture
def start(stack, tmp_path):
    """Start simulations that end with the test."""

    def simulation(mmar, *options, workspace="simulated", label=""):
        arguments = ["simulate", str(mmar), "--workspace", str(tmp_path / workspace), *options]
        program = RunningProgram(arguments, folder=tmp_path / "said", label=label or workspace)
        return stack.enter_context(program)

    return simulation


def summary(tmp_path, workspace="simulated", run=1):
    return json.loads((tmp_path / workspace / f"run_{run}" / "summary.json").read_bytes())


def hashes(told):
    return [entry["model_sha256"] for entry in told["rounds"]]


def noisy(tmp_path):
    return MmarBuilder().trainer("EchoTrainer", noise=0.5).write(tmp_path)


def test_a_simulation_runs_the_rounds_asked_for(start, tmp_path):
    mmar = MmarBuilder().server(start_round=3, num_rounds=4).write(tmp_path)
    program = start(mmar, "--clients", "3", "--rounds", "2")

    assert program.wait() == 0, program.stderr
    told = summary(tmp_path)
    assert [entry["round"] for entry in told["rounds"]] == [3, 4]
    assert [c["client"] for c in told["rounds"][0]["contributions"]] == [
        "site-1",
        "site-2",
        "site-3",
    ]
    assert str(tmp_path / "simulated" / "run_1" / "summary.json") in program.stdout


def test_clients_per_round_are_sampled(start, tmp_path):
    program = start(
        MmarBuilder().write(tmp_path), "--clients", "4", "--clients-per-round", "2", "--json"
    )

    assert program.wait() == 0, program.stderr
    told = json.loads(program.stdout)
    assert told == summary(tmp_path)
    assert [len(entry["contributions"]) for entry in told["rounds"]] == [2, 2]


def test_models_are_kept_for_those_who_work_and_no_longer(start, tmp_path):
    mmar = MmarBuilder().trainer("EchoTrainer").write(tmp_path)
    program = start(mmar, "--clients", "30", "--clients-per-round", "2", "--rounds", "12")
    models = tmp_path / "simulated" / "models_in_use"
    seen = 0
    for number in range(11):
        program.wait_for(Topic.ROUND_FINISHED, round=number)
        seen = max(seen, len(list(models.iterdir())))
    assert program.wait() == 0, program.stderr
    assert 0 < seen <= 3 * 2
    assert not models.exists()
    assert not list((tmp_path / "simulated" / "clients").rglob("model_*"))


def test_processes_and_simulation_make_the_same_models(start, stack, tmp_path):
    mmar = noisy(tmp_path)
    simulated = start(mmar, "--clients", "3", "--seed", "11")
    assert simulated.wait() == 0, simulated.stderr

    variables = {"MIN_NUM_CLIENTS": 3}
    server = stack.enter_context(
        RunningServer(mmar, tmp_path / "server", "--seed", "11", variables=variables)
    )
    for name in ("site-3", "site-1", "site-2"):
        stack.enter_context(
            RunningClient(mmar, server.address(), name, tmp_path / "clients", variables=variables)
        )
    assert server.wait() == 0, server.stderr
    assert hashes(server.summary()) == hashes(summary(tmp_path))
    assert len(set(hashes(summary(tmp_path)))) == 2


def test_another_seed_makes_other_models(start, tmp_path):
    mmar = noisy(tmp_path)
    programs = [
        start(mmar, "--clients", "2", "--seed", seed, workspace=f"seed-{seed}")
        for seed in ("1", "2")
    ]

    assert [program.wait() for program in programs] == [0, 0]
    assert hashes(summary(tmp_path, "seed-1")) != hashes(summary(tmp_path, "seed-2"))


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [("raise", "failing in round 1"), ("exit", "exit code 3"), ("hang", "did not end within")],
)
def test_a_failing_trainer_fails_the_run_with_its_reason(start, tmp_path, behaviour, said):
    mmar = (
        MmarBuilder().trainer("EchoTrainer", fail_in_round=1, behaviour=behaviour).write(tmp_path)
    )
    program = start(mmar, "--clients", "2", "--task-timeout", "2")

    assert program.wait() == 1
    assert said in program.stderr
    assert "Traceback" not in program.stderr
    assert summary(tmp_path)["status"] == "failed"


def test_sigterm_stops_and_the_same_command_resumes(start, tmp_path):
    mmar = MmarBuilder().trainer("EchoTrainer", seconds=0.3).write(tmp_path)
    first = start(mmar, "--clients", "2", "--rounds", "6")
    first.wait_for(Topic.ROUND_FINISHED, round=1)
    first.terminate()
    assert first.wait(timeout=20) == 3, first.stderr
    done = len(summary(tmp_path)["rounds"])

    second = start(mmar, "--clients", "2", "--rounds", "6")
    assert second.wait() == 0, second.stderr
    assert second.observations(Topic.LISTENING, run_number=1, resumed=True)
    assert 2 <= done < 6
    assert [entry["round"] for entry in summary(tmp_path)["rounds"]] == list(range(6))


def test_a_workspace_that_another_simulation_has_is_left_alone(start, tmp_path):
    mmar = MmarBuilder().trainer("EchoTrainer", seconds=0.3).write(tmp_path)
    first = start(mmar, "--clients", "2", "--rounds", "400")
    first.wait_for(Topic.ROUND_FINISHED, round=1)
    second = start(mmar, "--clients", "2", "--rounds", "400", label="second")
    assert second.wait() == 1
    assert "WORKSPACE_IN_USE" in second.stderr
    assert (tmp_path / "simulated" / "models_in_use").is_dir()
    done = len(first.observations(Topic.ROUND_FINISHED))
    first.wait_for(Topic.ROUND_FINISHED, round=done + 2)
    first.terminate()
    assert first.wait(timeout=20) == 3, first.stderr


def test_a_server_that_is_killed_leaves_a_run_that_goes_on(start, tmp_path):
    mmar = MmarBuilder().server(num_rounds=8).trainer("EchoTrainer", noise=0.5, seconds=0.2)
    mmar = mmar.write(tmp_path)
    calm = start(mmar, "--clients", "2", workspace="calm")
    assert calm.wait() == 0, calm.stderr
    program = start(mmar, "--clients", "2")
    program.wait_for(Topic.ROUND_FINISHED, round=1)
    os.kill(server_of(program), signal.SIGKILL)

    assert program.wait() == 3
    assert "killed by signal 9" in program.stderr
    assert "the same command resumes" in program.stderr
    again = start(mmar, "--clients", "2")
    assert again.wait() == 0, again.stderr
    assert hashes(summary(tmp_path)) == hashes(summary(tmp_path, "calm"))


def test_a_simulation_that_is_killed_leaves_no_folder_for_its_socket(tmp_path):
    mmar = MmarBuilder().trainer("EchoTrainer", seconds=30).write(tmp_path)
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:
        arguments = ["simulate", str(mmar), "--workspace", str(tmp_path / "ws"), "--clients", "2"]
        with RunningProgram(
            arguments,
            folder=tmp_path,
            label="killed",
            environment={**os.environ, "TMPDIR": temporary},
        ) as program:
            program.wait_for(Topic.ROUND_STARTED, round=0)
            assert len(list(Path(temporary).glob("mmar-*/server"))) == 1
            server = os.pidfd_open(server_of(program))
            program.kill()
        gone, _, _ = select.select([server], [], [], 30)
        os.close(server)
        assert gone
        assert not list(Path(temporary).glob("mmar-*"))


#: A shell's limit, for the program alone: this process may have as many files open already.
_FEW_FILES = """
import os, resource, sys
usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (128, most))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_more_clients_than_files_may_usually_be_open(tmp_path):
    """A thousand clients failed for want of open files where a shell allows 1,024."""
    words = ["simulate", str(MmarBuilder().write(tmp_path)), "--clients", "150"]
    words += ["--clients-per-round", "3", "--workspace", str(tmp_path / "simulated")]
    program = subprocess.run(
        [sys.executable, "-c", _FEW_FILES, "-m", "mmar_runner", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert program.returncode == 0, program.stderr
    told = summary(tmp_path)
    assert [len(entry["contributions"]) for entry in told["rounds"]] == [3, 3]
    assert len(list((tmp_path / "simulated" / "clients").iterdir())) == 150


def server_of(program):
    """Return the server's process: the one child that is told nothing but to be it."""
    pid = program.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return next(child for child, command in commands.items() if b"server_process" in command)


def test_wrong_numbers_are_usage(start, tmp_path):
    mmar = MmarBuilder().write(tmp_path)
    too_many = start(mmar, "--clients", "2", "--clients-per-round", "3")
    invalid = MmarBuilder("invalid").aggregator("FedAgv").write(tmp_path)
    broken = start(invalid, "--clients", "2", workspace="broken")

    assert too_many.wait() == 2
    assert "cannot be taken from 2" in too_many.stderr
    assert broken.wait() == 1
    assert "FedAvg" in broken.stderr
    assert not (tmp_path / "broken").exists()


def test_code_that_is_not_accepted_starts_nothing(start, tmp_path):
    mmar = MmarBuilder().write(tmp_path)
    (mmar / "custom").mkdir()
    (mmar / "custom" / "own.py").write_text("x = 1\n")
    program = start(mmar, "--clients", "3")

    assert program.wait() == 1  # refused, as with a kit
    assert "--allow-byoc" in program.stderr
    assert "listening" not in program.stderr
    assert "Traceback" not in program.stderr
    assert not (tmp_path / "simulated" / "run_1").exists()
