# SPDX-License-Identifier: Apache-2.0
"""Clients as real processes, against a real server process."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.storage.tensor_files import TensorReader
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.processes import RunningClient, RunningServer, free_port


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start(stack, tmp_path):
    """Start servers and clients that end with the test."""

    class Start:
        folder = tmp_path

        def server(self, mmar, *options, **kwargs):
            return stack.enter_context(RunningServer(mmar, tmp_path / "server", *options, **kwargs))

        def client(self, mmar, server, name, *options, where="clients", **kwargs):
            target = server if isinstance(server, str) else server.address()
            return stack.enter_context(
                RunningClient(mmar, target, name, tmp_path / where, *options, **kwargs)
            )

    return Start()


def hashes(summary):
    return [entry["model_sha256"] for entry in summary["rounds"]]


def test_two_clients_finish_a_run(start, tmp_path):
    mmar = MmarBuilder().write(tmp_path)
    server = start.server(mmar)
    clients = [start.client(mmar, server, name) for name in ("site-1", "site-2")]

    assert [client.wait() for client in clients] == [0, 0]
    assert server.wait() == 0
    summary = server.summary()
    assert summary["status"] == "finished"
    assert [[c["client"] for c in r["contributions"]] for r in summary["rounds"]] == [
        ["site-1", "site-2"],
        ["site-1", "site-2"],
    ]


def test_updates_larger_than_one_message_stream(start, tmp_path):
    mmar = MmarBuilder().model_persistor("EchoModelPersistor", size_mb=9.3).write(tmp_path)
    server = start.server(mmar)
    clients = [start.client(mmar, server, name) for name in ("site-1", "site-2")]

    assert [client.wait() for client in clients] == [0, 0]
    assert server.wait() == 0
    contributions = server.summary()["rounds"][1]["contributions"]
    assert all(c["bytes"] > 9_300_000 for c in contributions)


def test_a_client_waits_for_a_server_that_comes_later(start, tmp_path):
    mmar = MmarBuilder().variables(MIN_NUM_CLIENTS=1, NUM_ROUNDS=1).write(tmp_path)
    address = f"127.0.0.1:{free_port()}"
    client = start.client(mmar, address, "site-1")
    client.wait_for(Topic.UNREACHABLE)
    server = start.server(mmar, listen=address)

    assert client.wait() == 0
    assert server.wait() == 0


def test_a_client_gives_up_if_told_so(start, tmp_path):
    mmar = MmarBuilder().write(tmp_path)
    address = f"127.0.0.1:{free_port()}"
    client = start.client(mmar, address, "site-1", "--connect-timeout", "0.5")

    assert client.wait() == 1
    assert address in client.stderr
    assert "Traceback" not in client.stderr


def test_a_name_that_is_taken_is_refused_and_the_first_session_lives(start, tmp_path):
    mmar = MmarBuilder().variables(MIN_NUM_CLIENTS=2, NUM_ROUNDS=1).write(tmp_path)
    server = start.server(mmar)
    first = start.client(mmar, server, "site-1")
    first.wait_for(Topic.REGISTERED)
    second = start.client(mmar, server, "site-1", where="elsewhere")
    same_folder = start.client(mmar, server, "site-1")

    assert second.wait() == 1
    assert "'site-1' is taken" in second.stderr
    assert same_folder.wait() == 1
    assert "'site-1' is taken" in same_folder.stderr
    assert start.client(mmar, server, "site-2").wait() == 0
    assert first.wait() == 0


def test_a_client_of_another_job_is_refused(start, tmp_path):
    mmar = MmarBuilder().write(tmp_path)
    other = MmarBuilder("other", task="another-job").write(tmp_path)
    client = start.client(other, start.server(mmar), "site-1")

    assert client.wait() == 1
    assert "'job'" in client.stderr
    assert "'another-job'" in client.stderr


def test_more_clients_than_the_maximum_are_refused(start, tmp_path):
    mmar = MmarBuilder().server(min_num_clients=1, max_num_clients=1).write(tmp_path)
    slow = MmarBuilder("slow").trainer("EchoTrainer", seconds=30).write(tmp_path)
    server = start.server(mmar)
    first = start.client(slow, server, "site-1")
    first.wait_for(Topic.REGISTERED)
    second = start.client(mmar, server, "site-2")

    assert second.wait() == 1
    assert "max_num_clients is 1" in second.stderr


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
    assert server.observations(Topic.TASK_FAILED, client="site-2", round=0)
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


def test_usage_is_refused_in_sentences(start, tmp_path):
    mmar = MmarBuilder().write(tmp_path)
    remote = start.client(mmar, "192.0.2.7:8002", "site-1")
    kit = start.client(mmar, "127.0.0.1:1", "site-1", "--kit", str(tmp_path))
    nowhere = start.client(tmp_path / "nothing", "127.0.0.1:1", "site-1")

    assert remote.wait() == 2
    assert "loopback" in remote.stderr
    assert kit.wait() == 2
    assert "exclude each other" in kit.stderr
    assert nowhere.wait() == 2
    assert all("Traceback" not in client.stderr for client in (remote, kit, nowhere))


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


DOUBLES = """
from mmar_runner.interfaces.filter import Filter

class Times(Filter):
    def __init__(self, factor):
        self.factor = factor

    def apply(self, name, tensor):
        return tensor * tensor.dtype.type(self.factor)
"""


def first_value(path):
    with TensorReader(path) as reader:
        return float(reader.read(next(iter(reader.header.tensors)))[0])


def filtered(tmp_path):
    return (
        MmarBuilder("filtered")
        .variables(MIN_NUM_CLIENTS=1, NUM_ROUNDS=1)
        .trainer("EchoTrainer", constant=0.0)
        .client_filter("filters.Times", inbound=True, factor=4)
        .client_filter("filters.Times", factor=0.5)
        .file("custom/filters.py", DOUBLES)
        .write(tmp_path)
    )


def test_filters_change_what_is_trained_and_what_leaves(start, tmp_path):
    plain = MmarBuilder().variables(MIN_NUM_CLIENTS=1, NUM_ROUNDS=1).write(tmp_path)
    server = start.server(plain, "--keep-models", "all")
    client = start.client(filtered(tmp_path), server, "site-1", "--allow-byoc")

    assert (client.wait(), server.wait()) == (0, 0)
    models = tmp_path / "server" / "run_1" / "models"
    with (
        TensorReader(models / "round_0000.safetensors") as before,
        TensorReader(models / "round_0001.safetensors") as after,
    ):
        assert before.header.tensors.keys() == after.header.tensors.keys()
        for name in before.header.tensors:
            np.testing.assert_array_equal(after.read(name), before.read(name) * 2)
    # What was trained is the model as the inbound filter left it.
    trained = client.observations(Topic.TRAINED)[0]["metrics"]["val_first_value"]
    assert trained == 4 * first_value(models / "round_0000.safetensors")


def test_code_of_the_mmar_is_refused_without_consent(start, tmp_path):
    client = start.client(filtered(tmp_path), "127.0.0.1:1", "site-1")

    assert client.wait() == 2
    assert "--allow-byoc" in client.stderr


def test_metrics_reach_the_processor_that_wants_them(start, tmp_path):
    mmar = (
        MmarBuilder()
        .variables(MIN_NUM_CLIENTS=1)
        .result_processor("MetricsProcessor", tensorboard=False)
        .write(tmp_path)
    )
    server = start.server(mmar)
    client = start.client(mmar, server, "site-1")

    assert (client.wait(), server.wait()) == (0, 0), server.stderr
    written = list((tmp_path / "server" / "run_1").rglob("*.csv"))
    assert len(written) == 1
    assert "val_first_value" in written[0].read_text()


def test_a_client_without_a_number_is_told_that_its_share_is_a_guess(start, tmp_path):
    mmar = Path(__file__).parents[2] / "mmars" / "echo"
    nobody = f"127.0.0.1:{free_port()}"
    told = "warning: north has no number: SITE_INDEX is 1; give --set SITE_INDEX=K"
    for variables, warned in (({}, True), ({"SITE_INDEX": 2}, False)):
        client = start.client(mmar, nobody, "north", "--connect-timeout=0.2", variables=variables)
        assert client.wait() == 1
        assert (told in client.stderr) is warned
