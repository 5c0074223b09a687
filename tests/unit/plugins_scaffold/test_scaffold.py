# SPDX-License-Identifier: Apache-2.0
"""SCAFFOLD's server: ten rounds of a federation are those of the paper's algorithm, in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mmar_runner.errors import RunFailedError
from mmar_runner.hooks import load_plugins
from mmar_runner.interfaces.aggregator import AggregationContext, Contribution, UpdateKind
from mmar_runner.interfaces.client_trainer import ClientTrainer, TrainResult, TrainTask
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.federation import Federation
from mmar_runner_scaffold.scaffold import Scaffold

if TYPE_CHECKING:
    from pathlib import Path

CLIENTS, PER_ROUND, ROUNDS = 4, 2, 10
STEPS, RATE, SERVER_RATE = 3, 0.2, 0.8
#: As the published files are rounded, of each tensor's largest value.
TOLERANCE = 1e-6
PREFIX = "control_variate/"

Arrays = dict[str, Any]

#: Says of the trainer what its plugin would; the objects that train are the test's own.
PLUGIN = """
from mmar_runner.hooks import hookimpl


@hookimpl
def mmar_register_components(registry):
    registry.add(
        kind="client_trainer",
        name="SmallTrainer",
        target=":SmallTrainer",
        summary="Trains by SCAFFOLD.",
        extras={"produces": ["weight_diff"], "tags": ["sends_control_variates"]},
    )
"""


def loss_of(client: str, name: str, size: int) -> tuple[Any, Any]:
    """Return a and b of a client's loss, a/2 (y - b)^2: clients do not agree on a best y."""
    seed = [int(client.rpartition("-")[2]), *name.encode()]
    random = np.random.default_rng(seed)
    return random.uniform(0.5, 1.5, size), random.normal(size=size) * 3


def trained(client: str, x: Arrays, c: Arrays, own: Arrays) -> tuple[Arrays, Arrays]:
    """Return y - x and the new control variates of a client (the paper's option II)."""
    difference, new = {}, {}
    for name in x:
        a, b = loss_of(client, name, x[name].size)
        y = x[name].copy()
        for _ in range(STEPS):
            y -= RATE * (a * (y - b) - own[name] + c[name])
        difference[name] = y - x[name]
        new[name] = own[name] - c[name] + (x[name] - y) / (STEPS * RATE)
    return difference, new


def read(path: Path) -> Arrays:
    with TensorReader(path) as reader:
        return {name: reader.read(name).astype(np.float64) for name in reader.header.tensors}


class SmallTrainer(ClientTrainer):
    """Trains by SCAFFOLD; its control variates lie in the folder of its state."""

    def __init__(self, client: str, first: Path) -> None:
        self._client, self._first = client, first

    def train(self, task: TrainTask) -> TrainResult:
        model = read(task.model)
        if task.round == 0:
            self._first.write_bytes(task.model.read_bytes())
        x = {name: value for name, value in model.items() if not name.startswith(PREFIX)}
        c = {name: model[PREFIX + name] for name in x}
        saved = task.state / "own.npz"
        own = (
            dict(np.load(saved)) if saved.exists() else {n: np.zeros_like(v) for n, v in x.items()}
        )
        difference, new = trained(self._client, x, c, own)
        np.savez(task.new_state / "own.npz", **new)
        sent = difference | {PREFIX + name: new[name] - own[name] for name in x}
        with TensorWriter(task.update, [(n, "F32", v.shape) for n, v in sent.items()]) as writer:
            for name, value in sent.items():
                writer.write(name, value.astype(np.float32))
            writer.commit()
        # The paper counts every client alike, whatever its samples.
        return TrainResult(10.0 * int(self._client[-1]), kind=UpdateKind.WEIGHT_DIFF)


def expected(x: Arrays, rounds: list[list[str]]) -> Arrays:
    """Return the model after some rounds, by the paper's algorithm 1 in float64."""
    c = {name: np.zeros_like(value) for name, value in x.items()}
    own = {f"site-{i}": dict(c) for i in range(1, CLIENTS + 1)}
    for clients in rounds:
        made = {client: trained(client, x, c, own[client]) for client in clients}
        for name in x:
            steps = [made[client][0][name] for client in clients]
            changes = [made[client][1][name] - own[client][name] for client in clients]
            new_x = x[name] + SERVER_RATE * sum(steps) / len(clients)
            new_c = c[name] + sum(changes) / CLIENTS
            x = {**x, name: new_x.astype(np.float32).astype(np.float64)}
            c = {**c, name: new_c.astype(np.float32).astype(np.float64)}
        for client in clients:
            own[client] = made[client][1]
    return x | {PREFIX + name: value for name, value in c.items()}


def test_ten_rounds_with_some_of_the_clients_are_the_papers(tmp_path: Path) -> None:
    mmar = (
        MmarBuilder()
        .server(num_rounds=ROUNDS)
        .top_level(clients_per_round=PER_ROUND)
        .aggregator("Scaffold", server_learning_rate=SERVER_RATE, num_clients=CLIENTS)
        .trainer("SmallTrainer")
        .model_persistor("EchoModelPersistor", size_mb=0.00012, arrays=2)
        .write(tmp_path)
    )
    workspace, first = tmp_path / "ws", tmp_path / "first"
    trainers = {f"site-{i}": SmallTrainer(f"site-{i}", first) for i in range(1, CLIENTS + 1)}
    (tmp_path / "drop").mkdir()
    (tmp_path / "drop" / "small.py").write_text(PLUGIN)
    more: dict[str, Any] = {"plugins": load_plugins(plugins_dir=tmp_path / "drop")}
    more |= {"trainers": trainers, "variables": {"MIN_NUM_CLIENTS": PER_ROUND}}
    with Federation(mmar, workspace=workspace, clients=CLIENTS, **more) as federation:
        outcome = federation.run()
    assert outcome.status == "finished"
    rounds = [[c["client"] for c in r["contributions"]] for r in outcome.summary["rounds"]]
    assert {len(clients) for clients in rounds} == {PER_ROUND}
    assert len({tuple(clients) for clients in rounds}) > 1
    assert {c["weight"] for r in outcome.summary["rounds"] for c in r["contributions"]} == {1.0}
    models = workspace / "run_1" / "models"
    published = read(models / "final.safetensors")
    begun = read(first)
    assert not any(begun[name].any() for name in begun if name.startswith(PREFIX))
    model = expected({n: v for n, v in begun.items() if not n.startswith(PREFIX)}, rounds)
    assert list(published) == list(model)
    for name, value in model.items():
        room = TOLERANCE * np.abs(value).max()
        assert np.abs(published[name] - value).max() <= room, name


def context(minimum: int) -> AggregationContext:
    return AggregationContext(0, 1, 0, 2, 9, bytes(32), minimum=minimum)


def share(rule: Scaffold, updates: int, minimum: int) -> float:
    """Return the part of a mean change that c takes up."""
    rule.begin(context(minimum))
    sent = [Contribution(f"c{i}", i + 1.0, UpdateKind.WEIGHT_DIFF) for i in range(updates)]
    assert list(rule.weigh(sent)) == [1.0] * updates
    return float(rule.step(f"{PREFIX}w", np.zeros(1), np.ones(1), {})[0])


def test_the_number_of_all_clients_is_given_or_the_runs_minimum() -> None:
    assert share(Scaffold(num_clients=8), 2, minimum=4) == 2 / 8
    assert share(Scaffold(), 2, minimum=4) == 2 / 4
    assert share(Scaffold(), 6, minimum=4) == 1.0  # more came than are said to be there


def test_only_the_model_takes_the_learning_rate() -> None:
    rule = Scaffold(server_learning_rate=0.5)
    assert share(rule, 4, minimum=4) == 1.0
    assert rule.step("w", np.zeros(1), np.ones(1), {}).tolist() == [0.5]


def test_what_is_excluded_takes_its_control_variate_along() -> None:
    rule = Scaffold(exclude_vars="^head")
    assert rule.excludes("head.weight")
    assert rule.excludes("control_variate/head.weight")
    assert not rule.excludes("control_variate/body.weight")
    assert not Scaffold(exclude_vars="variate").excludes("control_variate/body.weight")


def test_weights_are_refused_by_the_name_of_who_sent_them() -> None:
    with pytest.raises(RunFailedError, match="update of site-1 holds weights") as refused:
        Scaffold().weigh([Contribution("site-1", 1.0)])
    assert "sends control variates" in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("argument", "value"),
    [("server_learning_rate", 0), ("server_learning_rate", float("inf")), ("num_clients", 0)],
)
def test_an_argument_outside_its_range_is_refused(argument: str, value: Any) -> None:
    with pytest.raises(ValueError, match=argument):
        Scaffold(**{argument: value})
