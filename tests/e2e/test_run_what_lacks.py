# SPDX-License-Identifier: Apache-2.0
"""Commands that run an MMAR say what it lacks, and what is doubtful, before they begin."""

from __future__ import annotations

import pytest

from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.processes import RunningProgram

TRAINER = """
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult


class Reads(ClientTrainer):
    def __init__(self, data):
        self.data = data

    def train(self, task):
        task.update.write_bytes(task.model.read_bytes())
        return TrainResult(num_samples=len(open(self.data).read()))
"""


@pytest.fixture
def mmar(tmp_path):
    """Return an MMAR whose trainer reads a file that each site names."""
    client = {
        "format_version": 1,
        "servers": [{"name": "reading"}],
        "client_trainer": {"path": "mine.Reads", "args": {"data": "{DATA}"}},
    }
    builder = MmarBuilder().server(num_rounds=1).task(server="reading")
    builder.file("custom/mine.py", TRAINER).json_file("config/config_fed_client.json", client)
    return builder.write(tmp_path)


@pytest.fixture
def say(stack, tmp_path):
    """Run the program and return its exit code and what it said on standard error."""

    def said(*words):
        program = stack.enter_context(RunningProgram(words, folder=tmp_path, label="said"))
        return program.wait(), program.stderr

    return said


def test_a_variable_that_nobody_defines_ends_simulate_before_it_begins(say, mmar, tmp_path):
    words = ["simulate", str(mmar), "--clients", "2", "--allow-byoc"]
    code, said = say(*words, "--workspace", str(tmp_path / "work"))

    assert code == 1
    assert "MMAR301: Nothing defines the variable {DATA}." in said
    assert "--set DATA=VALUE" in said
    assert "nothing was started" in said
    assert not (tmp_path / "work").exists()


def test_a_variable_that_nobody_defines_ends_run_client_before_it_calls(say, mmar):
    words = ["run-client", str(mmar), "--insecure", "--name", "site-1", "--allow-byoc"]
    code, said = say(*words, "--connect-timeout", "60")

    assert code == 1
    assert "Nothing defines the variable {DATA}." in said
    assert "connecting" not in said


def test_a_variable_that_is_given_lets_it_run(say, mmar, tmp_path):
    data = tmp_path / "data.txt"
    data.write_text("cases")
    words = ["simulate", str(mmar), "--clients", "2", "--allow-byoc", "--set", f"DATA={data}"]

    code, said = say(*words, "--workspace", str(tmp_path / "work"))
    assert code == 0, said


def test_what_is_doubtful_is_said_before_the_run(say, tmp_path):
    mmar = MmarBuilder().server(num_rounds=1, num_round=5).write(tmp_path)

    code, said = say("simulate", str(mmar), "--clients", "2", "--workspace", str(tmp_path / "w"))
    assert code == 0
    assert "warning: config/config_fed_server.json:" in said
    assert "MMAR404: servers: 'num_round' is unknown here. Did you mean 'num_rounds'?" in said


PROCESSOR = """
from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.result_processor import ResultProcessor


@hookimpl
def mmar_register_components(registry):
    registry.add(kind="result_processor", name="Second", target=":Second")


class Second(ResultProcessor):
    def get_topics(self):
        return ["metrics"]

    def process(self, topic, result, context):
        return {}
"""


def test_two_that_claim_a_topic_leave_no_run_that_is_in_the_way(say, tmp_path):
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "second.py").write_text(PROCESSOR)
    options = ["--clients", "2", "--plugins-dir", str(plugins), "--workspace", str(tmp_path / "w")]

    builder = MmarBuilder("study").server(num_rounds=1).result_processor("Second")
    both = builder.result_processor("MetricsProcessor").write(tmp_path / "wrong")
    code, said = say("simulate", str(both), *options)
    assert code == 1
    assert "two result processors claim the topic 'metrics'" in said

    builder = MmarBuilder("study").server(num_rounds=1).result_processor("Second")
    code, said = say("simulate", str(builder.write(tmp_path / "right")), *options)
    assert code == 0, said
