# SPDX-License-Identifier: Apache-2.0
"""Clients fail, are stopped, are killed, and go on."""

from __future__ import annotations

import json

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.processes import free_port


def messages(stdout):
    """What whoever reads plain lines sees."""
    return "\n".join(json.loads(line)["message"] for line in stdout.splitlines())


def hashes(summary):
    return [entry["model_sha256"] for entry in summary["rounds"]]


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("raise", "failing in round 1"),
        ("exit", "exit code 3"),
        ("hang", "did not end within"),
        ("nan", "NON_FINITE"),
    ],
)
def test_a_task_that_fails_once_is_given_again(start, tmp_path, behaviour, said):
    mmar = MmarBuilder().write(tmp_path)
    faulty = (
        MmarBuilder("faulty")
        .trainer("EchoTrainer", fail_in_round=1, behaviour=behaviour, fail_times=1)
        .write(tmp_path)
    )
    server = start.server(mmar)
    good = start.client(mmar, server, "site-1")
    bad = start.client(faulty, server, "site-2", "--task-timeout", "3")

    assert (good.wait(), bad.wait(), server.wait()) == (0, 0, 0), bad.stdout
    second = server.summary()["rounds"][1]
    assert [c["client"] for c in second["contributions"]] == ["site-1", "site-2"]
    assert [r["client"] for r in second["rejected"]] == ["site-2"]
    assert said in bad.stdout or said in second["rejected"][0]["reason"]


def test_a_trainer_that_always_fails_fails_the_run_with_its_reason(start, tmp_path):
    mmar = MmarBuilder().write(tmp_path)
    faulty = MmarBuilder("faulty").trainer("EchoTrainer", fail_in_round=0).write(tmp_path)
    server = start.server(mmar)
    clients = [start.client(mmar, server, "site-1"), start.client(faulty, server, "site-2")]

    assert server.wait() == 1
    assert [client.wait() for client in clients] == [1, 1]
    assert "its one task failed, the last in round 0: " in clients[1].stdout
    assert "tasks failed" not in clients[0].stdout
    failed = server.observations(Topic.TASK_FAILED, client="site-2", round=0)
    assert [one["again"] for one in failed] == ["", "same"]
    assert [one["again"] for one in clients[1].observations(Topic.TASK_FAILED)] == ["", "same"]
    assert messages(server.stdout).count("failing in round 0") == 1
    assert messages(clients[1].stdout).count("round 0: training failed again, for the same") == 1
    assert not server.observations(Topic.UPDATE_REFUSED)
    assert "site-2" in server.stderr
    assert "failing in round 0" in server.stderr


def test_sigterm_stops_a_client_and_the_same_command_goes_on(start, tmp_path):
    mmar = MmarBuilder().variables(NUM_ROUNDS=1).write(tmp_path)
    slow = MmarBuilder("slow").trainer("EchoTrainer", seconds=30).write(tmp_path)
    server = start.server(mmar)
    stays = start.client(mmar, server, "site-1")
    leaves = start.client(slow, server, "site-2", "--json")
    server.wait_for(Topic.ROUND_STARTED, participants=["site-1", "site-2"])
    leaves.terminate()

    assert leaves.wait(timeout=10) == 3
    assert json.loads(leaves.stdout)["status"] == "stopped"
    assert "the same command goes on where it was" in leaves.stderr
    server.wait_for(Topic.CLIENT_LEFT, client="site-2")
    back = start.client(mmar, server, "site-2", "--json")
    assert (back.wait(), stays.wait(), server.wait()) == (0, 0, 0)
    assert json.loads(back.stdout) == {
        "status": "finished",
        "reason": "",
        "client": "site-2",
        "run_number": 1,
        "run_folder": str(tmp_path / "clients" / "site-2" / "run_1"),
        "tasks": {"succeeded": 1, "failed": 0, "last_failure": ""},
    }


def test_the_same_seed_gives_the_same_models_whoever_comes_first(start, tmp_path):
    mmar = MmarBuilder().trainer("EchoTrainer", noise=0.5).write(tmp_path)
    found = []
    for order in (["site-1", "site-2"], ["site-2", "site-1"]):
        server = start.server(mmar, "--seed", "7", "--new-run")
        for name in order:
            client = start.client(mmar, server, name)
            client.wait_for(Topic.REGISTERED)
        assert server.wait() == 0
        found.append(hashes(server.summary(run_number=len(found) + 1)))

    assert len(found[0]) == 2
    assert found[0] == found[1]


def test_a_killed_client_rejoins_and_the_run_finishes(start, tmp_path):
    mmar = MmarBuilder().variables(NUM_ROUNDS=1).write(tmp_path)
    slow = MmarBuilder("slow").trainer("EchoTrainer", seconds=30).write(tmp_path)
    server = start.server(mmar)
    first = start.client(mmar, server, "site-1")
    killed = start.client(slow, server, "site-2")
    server.wait_for(Topic.ROUND_STARTED, participants=["site-1", "site-2"])
    killed.kill()

    back = start.client(mmar, server, "site-2")
    assert (back.wait(), first.wait(), server.wait()) == (0, 0, 0)
    assert server.observations(Topic.CLIENT_BACK, client="site-2")


def test_sessions_outlive_a_server_that_is_killed(start, tmp_path):
    mmar = MmarBuilder().trainer("EchoTrainer", noise=0.5, seconds=0.2).write(tmp_path)
    variables = {"NUM_ROUNDS": 4}
    address = f"127.0.0.1:{free_port()}"
    server = start.server(mmar, listen=address, variables=variables)
    clients = [start.client(mmar, address, name) for name in ("site-1", "site-2")]
    server.wait_for(Topic.ROUND_FINISHED, round=1)
    server.kill()
    clients[0].wait_for(Topic.UNREACHABLE)
    again = start.server(mmar, listen=address, variables=variables)

    assert (again.wait(), *(client.wait() for client in clients)) == (0, 0, 0)
    undisturbed = start.server(mmar, "--new-run", variables=variables)
    for name in ("site-1", "site-2"):
        start.client(mmar, undisturbed, name)
    assert undisturbed.wait() == 0
    assert hashes(again.summary()) == hashes(undisturbed.summary(run_number=2))
    assert len(hashes(again.summary())) == 4


def test_an_update_that_was_finished_is_not_trained_again(start, tmp_path):
    mmar = MmarBuilder().variables(MIN_NUM_CLIENTS=1, NUM_ROUNDS=1).write(tmp_path)
    address = f"127.0.0.1:{free_port()}"
    server = start.server(mmar, listen=address)
    slow = MmarBuilder("slow").trainer("EchoTrainer", seconds=1).write(tmp_path)
    client = start.client(slow, server, "site-1")
    client.wait_for(Topic.MODEL_RECEIVED)
    server.kill()
    client.wait_for(Topic.TRAINED)
    client.kill()
    start.server(mmar, listen=address)
    back = start.client(slow, address, "site-1")

    assert back.wait() == 0
    assert back.observations(Topic.SUBMITTED, round=0)
    assert not back.observations(Topic.TRAINED)
