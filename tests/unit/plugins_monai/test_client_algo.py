# SPDX-License-Identifier: Apache-2.0
"""A client that drives MONAI's ClientAlgo: what is given, taken, measured, kept and said."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.fl.client import ClientAlgo
from monai.fl.utils.constants import ExtraItems, FlStatistics, WeightType
from monai.fl.utils.exchange_object import ExchangeObject

from mmar_runner.errors import NotAuthorizedError, SchemaMismatchError, TaskFailedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.client_trainer import TrainerContext, TrainTask
from mmar_runner_monai.algo.app import app_folder
from mmar_runner_monai.algo.trainer import ClientAlgoTrainer
from mmar_runner_torch.files import read_state, write_state

MODEL = {
    "w": torch.arange(6.0).reshape(2, 3),
    "half": torch.ones(2, dtype=torch.float16),
    "count": torch.tensor(7),
    "flag": torch.tensor([True, False]),
}


class Plain(ClientAlgo):
    """Knows numpy alone, and adds a number to every weight."""

    def __init__(self, kind=WeightType.WEIGHTS, step=1.0):
        self.kind, self.step = kind, step
        self.calls: list[tuple[str, Any]] = []
        self.weights: dict[str, Any] = {}

    def initialize(self, extra=None):
        self.calls.append(("initialize", extra))

    def train(self, data, extra=None):
        self.calls.append(("train", extra))
        self.received = data.weights
        self.weights = {name: np.asarray(value) + self.step for name, value in data.weights.items()}
        self.weights["flag"] = ~np.asarray(data.weights["flag"])

    def get_weights(self, extra=None):
        weights = self.weights
        if self.kind == WeightType.WEIGHT_DIFF:
            weights = {n: np.full_like(np.asarray(v), self.step) for n, v in self.received.items()}
            weights["flag"] = self.weights["flag"]
        statistics = {FlStatistics.NUM_EXECUTED_ITERATIONS: 5, "loss": np.float32(0.25), "why": "x"}
        return ExchangeObject(weights=weights, weight_type=self.kind, statistics=statistics)

    def evaluate(self, data, extra=None):
        first = float(np.asarray(data.weights["w"]).ravel()[0])
        return ExchangeObject(
            metrics={
                "val_first": first,
                "tensor": torch.tensor([2.0]),
                "many": torch.ones(3),
                "nan": float("nan"),
            }
        )

    def abort(self, extra=None):
        self.calls.append(("abort", extra))

    def finalize(self, extra=None):
        self.calls.append(("finalize", extra))


@dataclass
class Made:
    """Stands in for a blueprint."""

    algo: Any
    name: str = "Plain"
    args: dict[str, Any] = field(default_factory=dict)

    def build(self):
        return self.algo


@pytest.fixture
def site(tmp_path):
    """Return a function that sets a trainer up, and one that makes a task."""
    (tmp_path / "mmar" / "config").mkdir(parents=True)
    (tmp_path / "work").mkdir()

    def trainer(algo, *, keeps_best=False, args=None, blueprint=None, **options):
        made = ClientAlgoTrainer(blueprint or Made(algo, args=args or {}), **options)
        made.setup(
            TrainerContext(
                client_name="site-1",
                mmar=tmp_path / "mmar",
                workspace=tmp_path / "work",
                train_config={},
                validation_config={},
                variables={},
                blueprint=None,
                keeps_best=keeps_best,
                expressions=True,
            )
        )
        return made

    def task(number=0, **more):
        here = tmp_path / f"round_{number}"
        here.mkdir(exist_ok=True)
        write_state(here / "model", MODEL)
        files = {"model": here / "model", "update": here / "update"}
        states = {"state": here, "new_state": here}
        return TrainTask(1, number, 2, 99, **files, **states, **more)

    return trainer, task


@pytest.mark.parametrize("kind", [WeightType.WEIGHTS, WeightType.WEIGHT_DIFF])
@pytest.mark.parametrize("send", ["weights", "weight_diff"])
@pytest.mark.parametrize("tensors", ["torch", "numpy"])
def test_weights_and_differences_become_what_is_declared(site, kind, send, tensors):
    trainer, task = site
    algo = Plain(kind)

    result = trainer(algo, send=send, tensors=tensors).train(one := task())

    update = read_state(one.update)
    before = {n: torch.zeros_like(t) for n, t in MODEL.items()} if send == "weight_diff" else MODEL
    assert result.kind is UpdateKind(send)
    for name in ("w", "half", "count"):
        assert update[name].dtype == MODEL[name].dtype
        assert torch.equal(update[name], before[name] + 1)
    assert torch.equal(update["flag"], ~MODEL["flag"])
    assert isinstance(algo.received["w"], torch.Tensor if tensors == "torch" else np.ndarray)


def test_statistics_and_metrics_are_numbers_and_iterations_the_weight(site):
    trainer, task = site

    result = trainer(Plain()).train(task())

    assert result.num_samples == 5
    assert result.metrics == {"num_executed_iterations": 5.0, "loss": 0.25}
    assert result.validation == {"val_first": 0.0, "tensor": 2.0}
    assert trainer(Plain(), num_samples=12).train(task(1)).num_samples == 12


def test_a_round_that_is_not_validated_evaluates_nothing(site):
    trainer, task = site

    assert trainer(Plain()).train(task(validate=False)).validation == {}
    assert trainer(Plain(), evaluate=False).train(task(1)).validation == {}


def test_an_algorithm_without_evaluate_is_not_asked_again(site):
    trainer, task = site

    class Silent(Plain):
        evaluate = ClientAlgo.evaluate

    made = trainer(Silent())

    assert made.train(task()).validation == {}
    assert made.validate(task(1).model) == {}


def test_the_algorithm_is_told_who_it_is_where_it_works_and_which_round_it_is(site, tmp_path):
    trainer, task = site
    algo = Plain()

    made = trainer(algo)
    made.train(task(1))
    made.close()

    names = [name for name, _ in algo.calls]
    assert names == ["initialize", "train", "finalize"]
    assert algo.calls[0][1][ExtraItems.CLIENT_NAME] == "site-1"
    assert algo.calls[0][1][ExtraItems.APP_ROOT] == str(tmp_path / "work" / "app")
    assert algo.calls[1][1]["current_round"] == 1


def test_the_best_model_is_kept_by_the_algorithms_own_metrics(site, tmp_path):
    trainer, task = site
    made = trainer(Plain(), keeps_best=True)
    assert made.best_model(tmp_path / "best") is None

    made.train(task())

    assert made.best_model(tmp_path / "best") == {"val_first": 1.0, "tensor": 2.0}
    assert torch.equal(read_state(tmp_path / "best")["w"], MODEL["w"] + 1)


def test_what_an_algorithm_leaves_out_stays_as_it_was(site):
    trainer, task = site

    class Half(Plain):
        def get_weights(self, extra=None):
            weights = {"w": MetaTensor(torch.full((3, 2), 9.0))}  # and of another form
            return ExchangeObject(weights=weights, weight_type=WeightType.WEIGHTS)

    result = trainer(Half()).train(one := task())

    update = read_state(one.update)
    assert torch.equal(update["w"], torch.full((2, 3), 9.0))
    assert torch.equal(update["count"], MODEL["count"])
    assert result.num_samples == 1.0


@pytest.mark.parametrize(
    ("returned", "error", "says"),
    [
        (ExchangeObject(), TaskFailedError, "no weights"),
        (ExchangeObject(weights={"w": MODEL["w"]}), TaskFailedError, "said that its weights are"),
        (None, TaskFailedError, "no weights"),
        ({"unknown": torch.ones(1)}, SchemaMismatchError, "'unknown' that the model lacks"),
        ({"w": torch.ones(5)}, SchemaMismatchError, r"shape \[5\]; the model has \[2, 3\]"),
        ({"w": "text"}, TaskFailedError, "that is no tensor"),
    ],
)
def test_weights_that_are_none_are_refused_by_name(site, returned, error, says):
    trainer, task = site
    if isinstance(returned, dict) and not isinstance(returned, ExchangeObject):
        returned = ExchangeObject(weights=returned, weight_type=WeightType.WEIGHTS)

    class Odd(Plain):
        def get_weights(self, extra=None):
            return returned

    with pytest.raises(error, match=says):
        trainer(Odd()).train(task())


def test_what_an_algorithm_raises_has_its_place_and_it_is_aborted(site):
    trainer, task = site

    class Broken(Plain):
        def train(self, data, extra=None):
            raise KeyError("no such lung")

    algo = Broken()
    with pytest.raises(TaskFailedError, match=r"Plain.train raised KeyError: 'no such lung'"):
        trainer(algo).train(task())

    assert [name for name, _ in algo.calls] == ["initialize", "abort"]


def test_what_monai_wraps_is_told_with_its_cause(site):
    trainer, _ = site

    class Wrapping(Plain):
        def initialize(self, extra=None):
            ConfigParser({"net": {"_target_": "UNet", "dimensions": 3}}).get_parsed_content("net")

    with pytest.raises(
        TaskFailedError, match=r"(?s)Failed to instantiate .*TypeError: .*dimensions"
    ):
        trainer(Wrapping())


def test_after_train_has_raised_the_next_task_has_a_new_algorithm(site):
    trainer, task = site
    built = []

    class Once(Plain):
        def train(self, data, extra=None):
            if len(built) == 1:
                raise RuntimeError("out of memory")
            super().train(data, extra)

    class Anew(Made):
        def build(self):
            built.append(Once())
            return built[-1]

    made = trainer(None, blueprint=Anew(None))
    with pytest.raises(TaskFailedError, match="out of memory"):
        made.train(task())

    assert made.train(task(1)).num_samples == 5
    made.close()
    assert [name for name, _ in built[0].calls] == ["initialize", "abort"]
    assert [name for name, _ in built[1].calls] == ["initialize", "train", "finalize"]


@pytest.mark.parametrize("method", ["evaluate", "get_weights"])
def test_an_algorithm_that_raised_anywhere_is_not_asked_again(site, method):
    trainer, task = site
    built = []

    class Once(Plain):
        def abort(self, extra=None):
            raise RuntimeError("there is nothing to abort")

    def broken(*_, **__):
        raise RuntimeError("a spent engine")

    class Anew(Made):
        def build(self):
            built.append(Once())
            if len(built) == 1:
                setattr(built[0], method, broken)
            return built[-1]

    made = trainer(None, blueprint=Anew(None))
    with pytest.raises(TaskFailedError, match=f"{method} raised RuntimeError: a spent engine"):
        made.train(task())

    assert made.train(task(1)).num_samples == 5
    assert len(built) == 2


@pytest.mark.parametrize("options", [{}, {"num_samples": 12}])
def test_an_update_without_any_iteration_is_refused(site, options):
    trainer, task = site

    class Idle(Plain):
        def get_weights(self, extra=None):
            found = super().get_weights(extra)
            found.statistics[FlStatistics.NUM_EXECUTED_ITERATIONS] = 0
            return found

    one = task()
    with pytest.raises(TaskFailedError, match="says that it executed no iteration"):
        trainer(Idle(), **options).train(one)
    assert not one.update.exists()


@pytest.mark.parametrize("accepted", [False, True])
def test_own_code_is_what_was_accepted_and_not_what_was_written_beside_it(
    site, tmp_path, monkeypatch, accepted
):
    trainer, _ = site
    monkeypatch.setattr(sys, "path", list(sys.path))
    if accepted:
        (tmp_path / "mmar" / "custom").mkdir()
    trainer(Plain())
    written = tmp_path / "work" / "app" / "custom"
    written.mkdir(exist_ok=True)
    (written / "mine.py").write_text("raise SystemExit('written by a bundle')\n")

    trainer(Plain())  # as after a new start in the same run

    assert str(written) not in sys.path
    assert (str(tmp_path / "mmar" / "custom") in sys.path) is accepted


def test_a_refusal_comes_out_as_it_is_however_it_was_wrapped(site):
    trainer, _ = site

    class Wrapping(Plain):
        def initialize(self, extra=None):
            refusal = NotAuthorizedError("not here", reason="EXPRESSIONS_NOT_ALLOWED")
            raise RuntimeError("Failed to instantiate") from refusal

    with pytest.raises(NotAuthorizedError, match="not here"):
        trainer(Wrapping())


def test_a_class_that_is_no_algorithm_is_refused(site):
    trainer, _ = site

    with pytest.raises(TaskFailedError, match="is no ClientAlgo: it has no train"):
        trainer(object())


def test_the_app_folder_is_a_writable_copy_that_outlives_the_process(tmp_path):
    mmar, work = tmp_path / "mmar", tmp_path / "work"
    for folder in ("bundle/configs", "models"):
        (mmar / folder).mkdir(parents=True)
    (mmar / "bundle/configs/train.json").write_text("{}")
    (mmar / "models/large.pt").write_text("large")
    (mmar / "bundle/link").symlink_to("/etc")
    (mmar / "bundle/configs/train.json").chmod(0o444)
    (mmar / "bundle/configs").chmod(0o555)
    work.mkdir()

    folder = app_folder(mmar, work)
    (folder / "bundle/configs/saved.pt").write_text("mine")
    (mmar / "bundle/configs").chmod(0o755)

    assert app_folder(mmar, work) == folder
    assert (folder / "bundle/configs/saved.pt").read_text() == "mine"
    assert not (folder / "models").exists()
    assert not (folder / "bundle/link").exists()


def test_nothing_is_known_of_the_network_and_that_is_said():
    trainer = ClientAlgoTrainer(None)

    assert trainer.describe(None) is None
    assert "before it is initialized" in trainer.unknown_network()
