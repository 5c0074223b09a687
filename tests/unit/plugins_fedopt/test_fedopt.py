# SPDX-License-Identifier: Apache-2.0
"""The server optimizers against their papers' formulas, and their arguments' ranges."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.components import build_component
from mmar_runner.interfaces.aggregator import Contribution, TensorwiseAggregator, UpdateKind
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.server_state import StatefulAggregator
from mmar_runner.server.rounds.aggregation import aggregate
from mmar_runner.server.rounds.update_blocks import Update
from mmar_runner.server.rounds.walk import Combination
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter
from mmar_runner.testing.contracts.combining import context
from mmar_runner_fedavg.fedavg import FedAvg
from mmar_runner_fedopt.optimizers import FedAdagrad, FedAdam, FedAvgM, FedYogi
from tests.golden.vectors import hold, read

if TYPE_CHECKING:
    from pathlib import Path

RULES = {"FedAvgM": FedAvgM, "FedAdagrad": FedAdagrad, "FedYogi": FedYogi, "FedAdam": FedAdam}
_ADAPTIVE = ["FedAdagrad", "FedYogi", "FedAdam"]


@pytest.mark.parametrize("name", RULES)
def test_ten_rounds_are_the_papers(tmp_path: Path, name: str) -> None:
    hold(RULES[name](**read().arguments[name]), name, tmp_path, UpdateKind.WEIGHT_DIFF)


def stepped(rule: StatefulAggregator, *means: float) -> list[float]:
    """Return the steps that a rule makes of one number a round."""
    state = {slot: np.full(1, value) for slot, value in rule.state.items()}
    return [float(rule.step("w", np.zeros(1), np.array([m]), state)[0]) for m in means]


def test_momentum_goes_on_as_in_the_paper() -> None:
    rule = FedAvgM(server_learning_rate=0.5, momentum=0.5)
    assert stepped(rule, 4.0, 0.0, 2.0) == [2.0, 1.0, 1.5]


def test_the_second_moments_begin_with_tau_squared_and_no_bias_is_corrected() -> None:
    tau, mean = 0.5, 3.0
    moments = {
        FedAdagrad(1.0, 0.5, tau): tau**2 + mean**2,
        FedAdam(1.0, beta1=0.5, beta2=0.75, tau=tau): 0.75 * tau**2 + 0.25 * mean**2,
        FedYogi(1.0, beta1=0.5, beta2=0.75, tau=tau): tau**2 + 0.25 * mean**2,  # v < D D: it grows
    }
    for rule, second in moments.items():
        (step,) = stepped(rule, mean)
        assert step == pytest.approx(0.5 * mean / (np.sqrt(second) + tau), rel=1e-12)


def write(path: Path, **tensors: Any) -> Path:
    kinds = {"float32": "F32", "int64": "I64", "bool": "BOOL"}
    listed = [(name, kinds[str(t.dtype)], t.shape) for name, t in tensors.items()]
    with TensorWriter(path, listed) as writer:
        for name, tensor in tensors.items():
            writer.write(name, tensor)
        writer.commit()
    return path


@pytest.mark.parametrize("name", RULES)
def test_what_is_no_fraction_is_averaged_as_fedavg_does(tmp_path: Path, name: str) -> None:
    def model(weight: float, count: int, flag: bool) -> dict[str, Any]:
        values = np.array([count], np.int64), np.array([flag])
        return {"w": np.array([weight], np.float32), "n": values[0], "b": values[1]}

    base = write(tmp_path / "base", **model(1.0, 10, False))
    paths = [
        write(tmp_path / "a", **model(2.0, 13, True)),
        write(tmp_path / "b", **model(3.0, 16, True)),
    ]
    updates = [
        Update(Contribution(client, samples), partial(TensorReader, path))
        for client, samples, path in zip("ab", (1.0, 2.0), paths, strict=True)
    ]
    found: dict[str, Any] = {}
    rules: dict[str, TensorwiseAggregator] = {"own": RULES[name](), "FedAvg": FedAvg()}
    for label, rule in rules.items():
        aggregate(Combination(rule, base, updates, context(0)), tmp_path / label, durable=False)
        with TensorReader(tmp_path / label) as reader:
            found[label] = {tensor: reader.read(tensor) for tensor in ("n", "b")}
    assert found["own"] == found["FedAvg"] == {"n": [15], "b": [True]}


def test_weights_and_exclusion_are_fedavgs() -> None:
    rule = FedAdam(aggregation_weights={"b": 0.5}, exclude_vars="running_")
    assert rule.weigh([Contribution("a", 10), Contribution("b", 30)]) == [10.0, 15.0]
    assert rule.excludes("bn.running_mean")
    assert not rule.excludes("bn.weight")


@pytest.mark.parametrize("name", RULES)
def test_without_arguments_the_schema_s_defaults_are_the_constructor_s(name: str) -> None:
    registry = load_plugins().registry
    found = registry.find(ComponentKind.AGGREGATOR, name)
    assert found is not None
    assert "paper" in found.extras
    built = build_component(registry, ComponentKind.AGGREGATOR, {"name": name}, StatefulAggregator)
    assert dict(built.state) == dict(RULES[name]().state)


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        *((name, "server_learning_rate", value) for name in RULES for value in (0, -1)),
        *((name, "tau", 0) for name in _ADAPTIVE),
        *((name, "beta1", value) for name in _ADAPTIVE for value in (-0.1, 1)),
        ("FedAdam", "beta2", 1.0),
        ("FedYogi", "beta2", -1),
        ("FedAvgM", "momentum", 1),
    ],
)
def test_an_argument_outside_its_range_is_refused(name: str, argument: str, value: float) -> None:
    with pytest.raises(ValueError, match=argument):
        RULES[name](**{argument: value})


def test_what_is_not_finite_is_refused_too() -> None:
    with pytest.raises(ValueError, match="tau"):
        FedAdam(tau=float("nan"))
