# SPDX-License-Identifier: Apache-2.0
"""Clients join a run, or are refused, and say so."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmar_runner.interfaces.observer import Topic
from mmar_runner.storage.tensor_files import TensorReader
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.processes import free_port


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

    assert client.wait() == 1  # refused, as with a kit
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
    mmar = Path(__file__).parents[3] / "mmars" / "echo"
    nobody = f"127.0.0.1:{free_port()}"
    told = "warning: north has no number: SITE_INDEX is 1; give --set SITE_INDEX=K"
    for variables, warned in (({}, True), ({"SITE_INDEX": 2}, False)):
        client = start.client(mmar, nobody, "north", "--connect-timeout=0.2", variables=variables)
        assert client.wait() == 1
        assert (told in client.stderr) is warned
