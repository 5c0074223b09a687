# SPDX-License-Identifier: Apache-2.0
"""What the builder writes, the validator reads."""

from __future__ import annotations

import json

from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate
from mmar_runner.testing.builders import MmarBuilder


def spec(root):
    validation = validate(root, load_plugins().registry)
    assert validation.report.valid, validation.report.findings
    return validation.spec


def test_the_default_is_valid(tmp_path):
    found = spec(MmarBuilder().write(tmp_path))

    assert found.name == "job"
    assert (found.server.min_num_clients, found.server.num_rounds) == (2, 2)
    assert found.client.client_trainer.name == "EchoTrainer"
    assert not found.byoc


def test_everything_can_be_changed(tmp_path):
    builder = (
        MmarBuilder("other", task="old")
        .task(server="new", client="new")
        .server(min_num_clients=3, start_round=1, num_rounds=4)
        .top_level(clients_per_round=3)
        .aggregator("FedAvg", exclude_vars="bn")
        .model_persistor("EchoModelPersistor", size_mb=0.5)
        .trainer("EchoTrainer", constant=2.5)
        .variables(MAX_NUM_CLIENTS=7)
        .json_file("config/config_train.json", {"determinism": {"random_seed": 9}})
    )
    found = spec(builder.write(tmp_path))

    assert found.server.task_name == found.client.task_name == "new"
    assert (found.server.min_num_clients, found.server.max_num_clients) == (3, 7)
    assert (found.server.start_round, found.server.num_rounds) == (1, 4)
    assert found.server.clients_per_round == 3
    assert found.client.client_trainer.args == {"constant": 2.5}
    assert found.seed == 9


def test_code_of_its_own_is_byoc(tmp_path):
    root = MmarBuilder().file("custom/nets.py", "class Net: ...\n").write(tmp_path)

    assert validate(root, load_plugins().registry).report.byoc


def test_lists_grow(tmp_path):
    root = (
        MmarBuilder()
        .handler("One")
        .handler("Two", rate=1)
        .result_processor("MetricsWriter")
        .client_filter("Out")
        .client_filter("my.package.In", inbound=True)
        .write(tmp_path)
    )
    server = json.loads((root / "config/config_fed_server.json").read_text())
    client = json.loads((root / "config/config_fed_client.json").read_text())

    assert server["handlers"] == [{"name": "One", "args": {}}, {"name": "Two", "args": {"rate": 1}}]
    assert [one["name"] for one in server["result_processors"]] == ["MetricsWriter"]
    assert client["outbound_filters"] == [{"name": "Out", "args": {}}]
    assert client["inbound_filters"] == [{"path": "my.package.In", "args": {}}]
