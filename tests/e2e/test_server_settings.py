# SPDX-License-Identifier: Apache-2.0
"""Every setting of the server file acts: in rounds, in time, in members, in components."""

from __future__ import annotations

import json
import threading

import pytest

from mmar_runner.interfaces.observer import Topic
from mmar_runner.storage.tensor_files import TensorReader
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.federation import Federation
from mmar_runner.testing.processes import RunningClient, RunningServer, free_port
from mmar_runner_echo.trainer import EchoTrainer

_PATIENCE = 20.0


class Held(EchoTrainer):
    """Trains nothing of its first round until it is released."""

    def __init__(self, seconds=0.0):
        super().__init__(seconds=seconds)
        self.released = threading.Event()

    def train(self, task):
        assert self.released.wait(_PATIENCE)
        return super().train(task)


@pytest.fixture
def processes(stack, tmp_path):
    """Start servers and clients that end with the test."""

    class Processes:
        def server(self, mmar, *options, **kwargs):
            arguments = (mmar, tmp_path / "server", "--durability", "process", *options)
            return stack.enter_context(RunningServer(*arguments, **kwargs))

        def clients(self, mmar, server, count, **kwargs):
            address = server if isinstance(server, str) else server.address()
            return [
                stack.enter_context(
                    RunningClient(mmar, address, f"site-{k}", tmp_path / "clients", **kwargs)
                )
                for k in range(1, count + 1)
            ]

    return Processes()


@pytest.fixture
def federation(stack, tmp_path):
    """Make federations with trainers as objects; by default they echo at once."""

    def make(mmar, names, **held):
        trainers = {name: held.get(name.replace("-", "_"), EchoTrainer()) for name in names}
        made = Federation(mmar, workspace=tmp_path / "work", clients=names, trainers=trainers)
        stack.enter_context(made)
        for one in held.values():
            stack.callback(one.released.set)  # whatever happens, its thread ends
        return made

    return make


def contributors(summary):
    return [[c["client"] for c in entry["contributions"]] for entry in summary["rounds"]]


def tensors(path):
    with TensorReader(path) as reader:
        return {name: reader.read(name) for name in reader.header.tensors}


# -- rounds ----------------------------------------------------------------------------------


def test_a_run_without_end_is_stopped_and_resumed_with_one_model_kept(processes, tmp_path):
    mmar = (
        MmarBuilder()
        .server(num_rounds=-1, min_num_clients=1)
        .trainer("EchoTrainer", seconds=0.05)
        .write(tmp_path)
    )
    listen = f"127.0.0.1:{free_port()}"
    first = processes.server(mmar, "--keep-models", "1", listen=listen)
    (client,) = processes.clients(mmar, listen, 1)
    first.wait_for(Topic.ROUND_FINISHED, round=2)
    first.terminate()
    assert first.wait() == 3
    run = tmp_path / "server" / "run_1"
    done = len(first.summary()["rounds"])
    # Two, whatever is asked for: the run is not finished, and may have to go back to one.
    kept = sorted(path.name for path in (run / "models").glob("round_*"))
    assert kept[-2:] == [f"round_{number:04d}.safetensors" for number in (done - 1, done)]
    assert len(kept) <= 3  # a stop between a result's record and the deletion leaves one more
    assert first.summary()["status"] == "stopped"

    second = processes.server(mmar, "--keep-models", "1", listen=listen)
    assert second.wait_for(Topic.LISTENING)["resumed"]
    second.wait_for(Topic.ROUND_FINISHED, round=done + 1)
    second.terminate()
    assert second.wait() == 3
    rounds = [entry["round"] for entry in second.summary()["rounds"]]
    assert rounds == list(range(len(rounds)))

    client.terminate()
    assert client.wait() == 3
    for program in (first, second, client):
        lines = [json.loads(line) for line in program.stdout.splitlines()]
        # That part of a model was sent may be told after it, when the stop broke it off.
        assert [line["topic"] for line in lines].count("run_ended") == 1
        assert all({"topic", "data"} <= line.keys() for line in lines)


def test_clients_are_drawn_for_each_round(processes, tmp_path):
    mmar = (
        MmarBuilder()
        .server(num_rounds=4, min_num_clients=2)
        .top_level(clients_per_round=2)
        .trainer("EchoTrainer", seconds=0.1)
        .write(tmp_path)
    )
    server = processes.server(mmar)
    clients = processes.clients(mmar, server, 3)

    assert server.wait() == 0
    assert [client.wait() for client in clients] == [0, 0, 0]
    drawn = [seen["participants"] for seen in server.observations(Topic.ROUND_STARTED)]
    assert drawn == contributors(server.summary())
    assert [len(names) for names in drawn] == [2, 2, 2, 2]


# -- time ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "top_level"),
    [({}, {"round_deadline": 0.5}), ({"wait_after_min_clients": 0.5}, {})],
    ids=["round_deadline", "wait_after_min_clients"],
)
def test_a_round_closes_without_a_straggler_which_then_goes_on(
    federation, tmp_path, server, top_level
):
    mmar = (
        MmarBuilder()
        .server(num_rounds=3, min_num_clients=1, **server)
        .top_level(**top_level)
        .write(tmp_path)
    )
    straggler = Held()
    run = federation(mmar, ["site-1", "site-2"], site_2=straggler)
    run.serve()
    for name in run.names:
        run.join(name)
    run.server.wait_for(Topic.ROUND_FINISHED, round=0)
    straggler.released.set()
    outcome = run.wait()

    refused = run.sessions["site-2"].wait_for(Topic.REFUSED, round=0)
    assert refused.data["reason"] == "ROUND_MISMATCH"
    assert outcome.status == "finished"
    assert contributors(outcome.summary)[0] == ["site-1"]
    assert ["site-1", "site-2"] in contributors(outcome.summary)
    assert 0.5 <= outcome.summary["rounds"][0]["seconds"] < _PATIENCE


def test_nobody_is_waited_for_once_everybody_has_answered(federation, tmp_path):
    mmar = MmarBuilder().server(wait_after_min_clients=60).write(tmp_path)
    outcome = federation(mmar, ["site-1", "site-2"]).run(timeout=_PATIENCE)

    assert outcome.status == "finished"
    assert all(entry["seconds"] < _PATIENCE for entry in outcome.summary["rounds"])


# -- members ---------------------------------------------------------------------------------


def test_a_late_client_joins_the_open_round(federation, tmp_path):
    mmar = MmarBuilder().server(num_rounds=1, min_num_clients=2).write(tmp_path)
    first = Held()
    run = federation(mmar, ["site-1", "site-2", "site-3"], site_1=first)
    run.serve(expected_clients=2)
    run.join("site-1")
    run.join("site-2")
    started = run.server.wait_for(Topic.ROUND_STARTED)
    assert started.data["participants"] == ["site-1", "site-2"]
    run.join("site-3")
    run.server.wait_for(Topic.UPDATE_ACCEPTED, client="site-3", round=0)
    first.released.set()

    assert contributors(run.wait().summary) == [["site-1", "site-2", "site-3"]]


def test_a_client_that_leaves_is_missed_but_its_update_counts(federation, tmp_path):
    mmar = MmarBuilder().server(num_rounds=2, min_num_clients=2).write(tmp_path)
    first = Held()
    run = federation(mmar, ["site-1", "site-2"], site_1=first)
    run.serve()
    run.join("site-1")
    run.join("site-2")
    run.server.wait_for(Topic.UPDATE_ACCEPTED, client="site-2", round=0)
    run.sessions["site-2"].wait_for(Topic.SUBMITTED, round=0)
    assert run.leave("site-2").status == "stopped"
    left = run.server.wait_for(Topic.CLIENT_LEFT, client="site-2")
    assert "told to stop" in left.data["reason"]
    first.released.set()
    run.server.wait_for(Topic.ROUND_FINISHED, round=0)
    run.server.wait_for(Topic.WAITING, message="round 1: 1 of 2 clients are there")
    run.join("site-2")

    assert contributors(run.wait().summary) == [["site-1", "site-2"]] * 2


# -- components ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["aggregator", "server file"])
def test_excluded_variables_keep_their_values(federation, tmp_path, where):
    builder = MmarBuilder().model_persistor("EchoModelPersistor", size_mb=0.001, initial="zeros")
    if where == "aggregator":
        builder.aggregator("FedAvg", exclude_vars="array_000[0-4]$")
    else:
        builder.top_level(exclude_vars="array_000[0-4]$")
    outcome = federation(builder.write(tmp_path), ["site-1", "site-2"]).run()

    final = tensors(outcome.run_folder / "models" / "final.safetensors")
    assert len(final) == 20
    for name, value in final.items():
        assert (value == (0.0 if name <= "array_0004" else 2.0)).all(), name


PLUGIN = """
import numpy as np

from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.aggregator import TensorwiseAggregator
from mmar_runner.interfaces.handler import Handler


class Largest(TensorwiseAggregator):
    def combine(self, name, tensors, weights):
        return np.max(tensors, axis=0).astype(np.float64)


class Notes(Handler):
    def __init__(self, file):
        self.file = file

    def handle_event(self, event):
        client = event.data.get("client", "")
        with (event.run_folder / self.file).open("a") as notes:
            notes.write(f"{event.type} {event.round} {client}\\n")
        if event.type == "BEST_MODEL":
            raise RuntimeError("this must not hurt the run")


@hookimpl
def mmar_register_components(registry):
    registry.add(kind="aggregator", name="Largest", target=":Largest")
    registry.add(
        kind="handler",
        name="Notes",
        target=":Notes",
        args_schema={"type": "object", "properties": {"file": {"type": "string"}}},
    )


@hookimpl
def mmar_on_event(event):
    with (event.run_folder / "hook.txt").open("a") as notes:
        notes.write(f"{event.type}\\n")
"""


def test_one_file_plugins_aggregate_and_see_every_event_in_order(processes, tmp_path):
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "ours.py").write_text(PLUGIN)
    mmar = (
        MmarBuilder()
        .aggregator("Largest")
        .handler("Notes", file="notes.txt")
        .trainer("EchoTrainer", constant="{SITE_INDEX}")
        .model_persistor("EchoModelPersistor", size_mb=0.001, initial="zeros")
        .write(tmp_path)
    )
    server = processes.server(mmar, "--plugins-dir", str(plugins))
    clients = processes.clients(mmar, server, 2)

    assert server.wait() == 0
    assert [client.wait() for client in clients] == [0, 0]
    run = tmp_path / "server" / "run_1"
    final = tensors(run / "models" / "final.safetensors")
    assert all((value == 4.0).all() for value in final.values())
    notes = [line.split() for line in (run / "notes.txt").read_text().splitlines()]
    for start in (2, 7):
        notes[start : start + 2] = sorted(notes[start : start + 2])  # either may be first
    assert notes == [
        ["START_RUN", "None"],
        ["ROUND_STARTED", "0"],
        ["UPDATE_ACCEPTED", "0", "site-1"],
        ["UPDATE_ACCEPTED", "0", "site-2"],
        ["BEFORE_AGGREGATION", "0"],
        ["AFTER_AGGREGATION", "0"],
        ["ROUND_STARTED", "1"],
        ["UPDATE_ACCEPTED", "1", "site-1"],
        ["UPDATE_ACCEPTED", "1", "site-2"],
        ["BEFORE_AGGREGATION", "1"],
        ["AFTER_AGGREGATION", "1"],
        ["BEST_MODEL", "0"],
        ["END_RUN", "None"],
    ]
    hooked = (run / "hook.txt").read_text().split()
    assert [kind for kind in hooked if kind != "BEST_MODEL"] == [
        kind for kind, *_ in notes if kind != "BEST_MODEL"
    ]
