# SPDX-License-Identifier: Apache-2.0
"""Simulations whose trainers live at the workers of a Ray cluster on this machine."""

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
from mmar_runner.testing.processes import RunningProgram

pytest.importorskip("ray", reason="simulate --backend ray is not tested: Ray is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

#: A cluster takes seconds to begin, and more on a busy machine.
PATIENCE = 180.0


@pytest.fixture
def start(stack, tmp_path):
    """Start simulations that end with the test; what they leave in a temporary folder is seen."""
    temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp")))

    def simulation(mmar, *options, workspace="simulated", backend="ray"):
        arguments = ["simulate", str(mmar), "--workspace", str(tmp_path / workspace)]
        arguments += ["--backend", backend, *options]
        environment = {**os.environ, "TMPDIR": str(temporary)}
        program = RunningProgram(
            arguments, folder=tmp_path / "said", label=workspace, environment=environment
        )
        program.temporary = temporary
        return stack.enter_context(program)

    return simulation


def hashes(tmp_path, workspace="simulated"):
    told = json.loads((tmp_path / workspace / "run_1" / "summary.json").read_bytes())
    return [entry["model_sha256"] for entry in told["rounds"]]


def descendants(pid):
    """Return the processes below one, by id, with what each was started as."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found[int(child)] = Path(f"/proc/{child}/cmdline").read_bytes()
            found |= descendants(int(child))
    return found


def listening(pids):
    """Return the addresses, as the kernel writes them, at which processes listen."""
    sockets = set()
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                sockets.add(str(entry.readlink()))
            except FileNotFoundError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(fields[1].partition(":")[0])
    return found


#: 127.0.0.1, also as an IPv6 address holds it.
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}


def test_the_same_seed_gives_the_same_models_on_loopback_alone(start, tmp_path):
    mmar = MmarBuilder().server(num_rounds=3).trainer("EchoTrainer", noise=0.5, seconds=0.5)
    mmar = mmar.variables(KEPT="here").write(tmp_path)
    options = ("--clients", "5", "--clients-per-round", "3", "--seed", "11")
    local = start(mmar, *options, workspace="local", backend="local")
    ray = start(mmar, *options)
    ray.wait_for(Topic.UPDATE_ACCEPTED, timeout=PATIENCE)
    below = descendants(ray.process.pid)
    ways = listening(below)

    assert ray.wait(timeout=PATIENCE) == 0, ray.stderr
    assert local.wait(timeout=PATIENCE) == 0, local.stderr
    assert any(command.startswith(b"ray::RayWorker") for command in below.values())
    assert ways
    assert ways <= LOOPBACK
    assert hashes(tmp_path) == hashes(tmp_path, "local")
    assert len(set(hashes(tmp_path))) == 3
    assert "a process of trainers took" in ray.stdout
    assert not list(ray.temporary.glob("mmar-*"))


def test_tasks_that_fail_are_tried_again_and_limits_hold(start, tmp_path):
    failing = MmarBuilder("dies").trainer(
        "EchoTrainer", noise=0.5, fail_in_round=1, behaviour="exit", fail_times=1
    )
    hanging = MmarBuilder("hangs").trainer("EchoTrainer", fail_in_round=1, behaviour="hang")
    dies = start(failing.write(tmp_path), "--clients", "2", "--seed", "3", workspace="died")
    assert dies.wait(timeout=PATIENCE) == 0, dies.stderr
    failed = dies.observations(Topic.TASK_FAILED, round=1)
    assert {one["client"] for one in failed} == {"site-1", "site-2"}
    assert all("exit code 3" in one["message"] for one in failed)
    assert (tmp_path / "died" / "logs" / "trainers_0.log").is_file()

    hangs = start(
        hanging.write(tmp_path), "--clients", "2", "--task-timeout", "3", workspace="hung"
    )
    assert hangs.wait(timeout=PATIENCE) == 1
    assert "did not end within 3 seconds" in hangs.stderr
    hints = [one["hint"] for one in hangs.observations(Topic.TASK_FAILED)]
    logs = tmp_path / "hung" / "logs"  # and no path of the worker
    assert {hint.removeprefix("its log is ") for hint in hints} <= {
        str(logs / "trainers_0.log"),
        str(logs / "trainers_1.log"),
    }
    assert "Traceback" not in hangs.stderr


def test_a_worker_that_is_killed_costs_a_task_and_no_run(start, tmp_path):
    mmar = MmarBuilder().server(num_rounds=6).trainer("EchoTrainer", noise=0.5, seconds=1)
    mmar = mmar.write(tmp_path)
    calm = start(mmar, "--clients", "2", workspace="calm", backend="local")
    program = start(mmar, "--clients", "2")
    program.wait_for(Topic.ROUND_FINISHED, timeout=PATIENCE, round=0)
    below = descendants(program.process.pid)
    worker = next(pid for pid, name in below.items() if name.startswith(b"ray::RayWorker"))
    os.kill(worker, signal.SIGKILL)

    assert program.wait(timeout=PATIENCE) == 0, program.stderr
    assert calm.wait(timeout=PATIENCE) == 0, calm.stderr
    failed = program.observations(Topic.TASK_FAILED)
    assert [one["reason"] for one in failed] == ["CHILD_DIED"]
    assert hashes(tmp_path) == hashes(tmp_path, "calm")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_ray_and_the_same_command_resumes_without_it(start, tmp_path, ending):
    mmar = MmarBuilder().trainer("EchoTrainer", noise=0.5, seconds=0.5).write(tmp_path)
    options = ("--clients", "2", "--rounds", "20", "--seed", "5")
    first = start(mmar, *options)
    first.wait_for(Topic.ROUND_FINISHED, timeout=PATIENCE, round=1)
    handles = [os.pidfd_open(pid) for pid in descendants(first.process.pid)]
    first.process.send_signal(ending)
    assert first.wait(timeout=PATIENCE) == 3, first.stderr
    for handle in handles:
        assert select.select([handle], [], [], 30)[0]  # it is gone
        os.close(handle)
    assert not list(first.temporary.glob("mmar-*"))

    second = start(mmar, *options, backend="local")
    whole = start(mmar, *options, workspace="whole", backend="local")
    assert second.wait(timeout=PATIENCE) == 0, second.stderr
    assert whole.wait(timeout=PATIENCE) == 0, whole.stderr
    assert len(hashes(tmp_path)) == 20
    assert hashes(tmp_path) == hashes(tmp_path, "whole")


def test_a_cluster_that_is_there_is_used_and_left(start, stack, tmp_path):
    ray = Path(sys.executable).with_name("ray")
    port = 26379
    own = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    environment = {**os.environ, **own, "HOME": str(tmp_path)}
    folder = stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp"))
    head = stack.enter_context(
        subprocess.Popen(
            [
                *(ray, "start", "--head", "--block", "--num-cpus=2", "--include-dashboard=false"),
                *(f"--port={port}", "--node-ip-address=127.0.0.1", f"--temp-dir={folder}"),
            ],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    )
    stack.callback(head.terminate)
    for line in head.stdout:
        if "--block" in line:
            break
    mmar = MmarBuilder().trainer("EchoTrainer", noise=0.5).write(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path))
        program = start(mmar, "--clients", "3", "--ray-address", f"127.0.0.1:{port}")
    local = start(mmar, "--clients", "3", workspace="local", backend="local")

    assert program.wait(timeout=PATIENCE) == 0, program.stderr
    assert local.wait(timeout=PATIENCE) == 0, local.stderr
    assert hashes(tmp_path) == hashes(tmp_path, "local")
    assert head.poll() is None  # it is somebody else's


def test_no_cluster_at_an_address_is_usage(start, tmp_path):
    mmar = MmarBuilder().write(tmp_path)
    nowhere = start(mmar, "--clients", "2", "--ray-address", "127.0.0.1:1", workspace="nowhere")
    gateway = start(mmar, "--clients", "2", "--ray-address", "ray://h:1", workspace="gateway")
    alone = start(
        mmar, "--clients", "2", "--ray-address", "h:1", backend="local", workspace="alone"
    )

    assert gateway.wait() == 2
    assert "gateway" in gateway.stderr
    assert alone.wait() == 2
    assert "--backend ray" in alone.stderr
    assert nowhere.wait(timeout=PATIENCE) == 2
    assert "no Ray cluster" in nowhere.stderr
    assert "ray start" in nowhere.stderr
    assert not (tmp_path / "nowhere" / "run_1").exists()
