# SPDX-License-Identifier: Apache-2.0
"""Each contract suite passes a plain good component and fails for a known bad one."""

import ast
import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from _pytest.outcomes import Skipped

from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule
from mmar_runner.interfaces.admin_command import CommandSpec, Parameter, TargetKind
from mmar_runner.interfaces.admin_event import Table, Text, Value
from mmar_runner.interfaces.aggregator import TensorwiseAggregator, UpdateKind
from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner.interfaces.filter import Filter
from mmar_runner.interfaces.model_validator import ModelValidator
from mmar_runner.interfaces.result_processor import ResultProcessor
from mmar_runner.interfaces.whole_aggregator import WholeResult, WholeUpdateAggregator
from mmar_runner.interfaces.workflow import Workflow
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter
from mmar_runner.testing.contracts import (
    AdminCmdModuleContract,
    AggregatorContract,
    FilterContract,
    ModelValidatorContract,
    RegistrationContract,
    ResultProcessorContract,
    WholeUpdateAggregatorContract,
    WorkflowContract,
)


def failures(suite, *, only="test_", **fixtures):
    """Run the tests of a suite, with every parameter, and return the names that fail."""
    failed = set()
    for name, test in inspect.getmembers(suite, inspect.isfunction):
        if not name.startswith(only):
            continue
        for arguments in cases(test):
            given = {
                k: make() for k, make in fixtures.items() if k in inspect.signature(test).parameters
            }
            try:
                test(suite(), **arguments, **given)
            except Skipped:
                continue
            except AssertionError as error:
                said = str(error)
                failed.add(name if "expected " in said and ", got " in said else f"{name}: {said}")
            except (ValueError, pytest.fail.Exception):
                failed.add(name)
    return failed


def cases(test):
    found = [{}]
    for mark in getattr(test, "pytestmark", []):
        name, values = mark.args
        found = [{**case, name: value} for case in found for value in values]
    return found


class Median(TensorwiseAggregator):
    def combine(self, name, tensors, weights):
        return np.median(tensors.astype(np.float64), axis=0)


class TestMedian(AggregatorContract):
    def make(self):
        return Median()


class NormClipped(TensorwiseAggregator):
    needs_measure = True

    def begin(self, context):
        self.largest = 0.0

    def measure(self, name, tensors, weights):
        self.largest = max(self.largest, float(np.abs(tensors.astype(np.float64)).max()))

    def combine(self, name, tensors, weights):
        kept = np.clip(tensors.astype(np.float64), -self.largest, self.largest)
        return np.median(kept, axis=0)


class TestNormClipped(AggregatorContract):
    def make(self):
        return NormClipped()


class Spends(Median):
    """Moves a little more each round, and says how far it has come."""

    def __init__(self):
        self.spent = 0.0

    def begin(self, context):
        self.now = self.spent + context.round

    def combine(self, name, tensors, weights):
        return super().combine(name, tensors, weights) + self.now

    def facts(self):
        self.spent = self.now
        return {"spent": self.spent}

    def resume(self, facts):
        self.spent = facts["spent"]


class TestSpends(AggregatorContract):
    def make(self):
        return Spends()


class KeepsMeasure(NormClipped):
    largest = 0.0

    def begin(self, context):
        pass

    def measure(self, name, tensors, weights):
        self.largest += 1.0

    def combine(self, name, tensors, weights):
        return super().combine(name, tensors, weights) + self.largest


class ForgetsItsPast(Spends):
    def begin(self, context):
        self.now = self.spent + context.round + 1

    def resume(self, facts):
        pass


class FactsByBlock(Median):
    def begin(self, context):
        self.blocks = 0

    def combine(self, name, tensors, weights):
        self.blocks += 1
        return super().combine(name, tensors, weights)

    def facts(self):
        return {"blocks": self.blocks}


class TakesNoFewer(Median):
    def combine(self, name, tensors, weights):
        if len(tensors) < 3:
            return np.full(tensors.shape[1], np.nan)
        return super().combine(name, tensors, weights)


class ByPosition(Median):
    def combine(self, name, tensors, weights):
        return super().combine(name, tensors, weights) + np.arange(tensors.shape[1])


class BlockNorm(Median):
    def combine(self, name, tensors, weights):
        norms = 1 + np.abs(tensors.astype(np.float64)).max(axis=1, keepdims=True)
        return (tensors / norms).mean(axis=0)


class BlasMean(TensorwiseAggregator):
    def combine(self, name, tensors, weights):
        return tensors.astype(np.float64).mean(axis=0)


class InPlace(Median):
    def combine(self, name, tensors, weights):
        tensors.flags.writeable = True
        tensors[0] = 0
        return super().combine(name, tensors, weights)


class LastWins(TensorwiseAggregator):
    def combine(self, name, tensors, weights):
        return tensors[-1].astype(np.float64)


class NotNormalised(TensorwiseAggregator):
    def combine(self, name, tensors, weights):
        return sum(w * t for w, t in zip(weights, tensors.astype(np.float64), strict=True))


class Remembers(Median):
    def __init__(self):
        self.previous = 0.0

    def combine(self, name, tensors, weights):
        result = super().combine(name, tensors, weights) + self.previous
        self.previous = 1.0
        return result


class NegativeWeights(Median):
    def weigh(self, contributions):
        return [-1.0 for _ in contributions]


class WeighsByPosition(Median):
    def weigh(self, contributions):
        return [i + 1.0 for i in range(len(contributions))]


class Float32Only(Median):
    def combine(self, name, tensors, weights):
        if tensors.dtype != np.float32:
            raise ValueError(tensors.dtype)
        return super().combine(name, tensors, weights)


class FoldsOtherwise(Median):
    foldable = True

    def fold(self, accumulator, name, tensor, weight):
        accumulator += weight * tensor.astype(np.float64)

    def finish(self, accumulator, name, weights):
        return accumulator / weights.sum()


@pytest.mark.parametrize(
    ("bad", "test"),
    [
        (ByPosition, "test_block_size_does_not_matter"),
        (BlockNorm, "test_block_size_does_not_matter"),
        (BlasMean, "test_block_size_does_not_matter"),
        (InPlace, "test_inputs_are_left_alone"),
        (LastWins, "test_order_of_clients_does_not_matter"),
        (NotNormalised, "test_scale_of_weights_does_not_matter"),
        (NotNormalised, "test_unanimity"),
        (Remembers, "test_same_input_same_bits"),
        (NegativeWeights, "test_weights"),
        (WeighsByPosition, "test_weights_belong_to_clients"),
        (Float32Only, "test_takes_every_dtype"),
        (FoldsOtherwise, "test_folding_equals_combining"),
        (KeepsMeasure, "test_same_input_same_bits"),
        (ForgetsItsPast, "test_resuming_goes_on"),
        (FactsByBlock, "test_facts_are_put_on_record"),
        (TakesNoFewer, "test_the_least_number_of_updates_is_enough"),
    ],
)
def test_a_bad_aggregator_is_caught(bad, test):
    suite = type("Suite", (AggregatorContract,), {"make": lambda _: bad()})
    assert failures(suite, only=test) >= {test}


def test_a_false_weighted_mean_is_caught():
    attributes = {"make": lambda _: Median(), "is_weighted_mean": True}
    suite = type("Suite", (AggregatorContract,), attributes)
    assert failures(suite) == {"test_weighted_mean"}


class FedAvgAlone(RegistrationContract):
    distribution = "mmar-runner-fedavg"


class Untagged(FedAvgAlone):
    def _registered(self, plugins):
        return [replace(one, extras={}) for one in super()._registered(plugins)]


class TaggedMedian(RegistrationContract):
    distribution = "mmar-runner-robust"

    def _registered(self, plugins):
        tags = {"tags": ["composes"]}
        return [replace(one, extras=tags) for one in super()._registered(plugins)]


@pytest.mark.parametrize(
    ("suite", "caught"), [(FedAvgAlone, False), (Untagged, True), (TaggedMedian, True)]
)
def test_an_aggregator_that_says_something_else_than_its_class_is_caught(suite, caught):
    law = "test_aggregators_say_whether_they_compose"
    assert failures(suite, only=law) == ({law} if caught else set())


class Halve(Filter):
    def apply(self, name, tensor):
        return (tensor / 2).astype(tensor.dtype)


class TestHalve(FilterContract):
    def make(self):
        return Halve()


class Widen(Filter):
    def apply(self, name, tensor):
        return np.atleast_1d(tensor.astype(np.float64))


class Unseeded(Filter):
    def apply(self, name, tensor):
        return (tensor + np.random.default_rng().normal(size=tensor.shape)).astype(tensor.dtype)


class Blinds(Filter):
    def apply(self, name, tensor):
        return np.full_like(tensor, np.nan) if tensor.dtype.kind == "f" else tensor


class Seeded(Filter):
    def begin(self, context):
        self.numbers = np.random.default_rng(context.seed)

    def apply(self, name, tensor):
        return (tensor + self.numbers.normal(size=tensor.shape)).astype(tensor.dtype)


class Accumulates(Filter):
    needs_measure = True
    largest = 0.0

    def measure(self, name, tensor):
        self.largest = max(self.largest, float(np.abs(tensor).max(initial=0)))

    def apply(self, name, tensor):
        return (tensor / (1 + self.largest)).astype(tensor.dtype)


class WeightsOnly(Filter):
    def apply(self, name, tensor):
        return tensor if name == "layer.weight" else tensor.astype(np.float32)


class Boasts(Filter):
    def apply(self, name, tensor):
        return tensor

    def finish(self):
        return {"epsilon": float("inf")}


class Centres(Filter):
    """Needs two passes: the mean, then the largest distance from it."""

    on_differences = True
    needs_measure = True

    def begin(self, context):
        self.sum = self.count = self.passes = 0
        self.largest = 0.0

    def measure(self, name, tensor):
        if tensor.dtype != np.float64:
            return
        if self.passes and tensor.size:
            far = np.abs(tensor - self.sum / self.count)
            self.largest = max(self.largest, float(far.max(initial=0)))
        else:
            self.sum, self.count = self.sum + tensor.sum(), self.count + tensor.size

    def measures_again(self):
        self.passes += 1
        return self.passes < 2

    def apply(self, name, tensor):
        if tensor.dtype != np.float64 or not self.largest:
            return tensor
        return np.asarray((tensor - self.sum / self.count) / self.largest)


class TestCentres(FilterContract):
    def make(self):
        return Centres()


@pytest.mark.parametrize(
    ("bad", "test"),
    [
        (Seeded, "test_noise_comes_from_the_secret"),
        (Accumulates, "test_a_round_begins_anew"),
        (WeightsOnly, "test_every_tensor_of_an_update_passes"),
        (Boasts, "test_metrics_are_finite_numbers"),
        (Widen, "test_shape_and_dtype_stay"),
        (Unseeded, "test_same_seed_same_result"),
        (Blinds, "test_finite_stays_finite"),
    ],
)
def test_a_bad_filter_is_caught(bad, test):
    assert test in failures(type("Suite", (FilterContract,), {"make": lambda _: bad()}))


def test_a_broken_law_is_said_with_what_was_expected_and_what_came():
    suite = type("Suite", (FilterContract,), {"make": lambda _: Widen()})
    with pytest.raises(AssertionError) as caught:
        suite().test_shape_and_dtype_stay((3, 4))
    said = str(caught.value)
    assert said.startswith("A filter keeps shape and element type of float32 of shape (3, 4)")
    assert "expected float32 of shape (3, 4), got float64 of shape (3, 4) with [" in said


def test_the_first_element_that_differs_is_named():
    suite = type("Suite", (AggregatorContract,), {"make": lambda _: ByPosition()})
    with pytest.raises(AssertionError) as caught:
        suite().test_block_size_does_not_matter(np.float32, 7)
    said = str(caught.value)
    assert said.startswith("Blocks of 7 give, bit for bit, what the whole tensor gives: 4993 of ")
    assert "the first at (7,): expected " in said


def test_no_law_is_a_bare_assert():
    folder = Path(inspect.getfile(FilterContract)).parent
    bare = [
        f"{file.name}:{node.lineno}"
        for file in sorted(folder.glob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Assert)
    ]
    assert bare == []


class Size(ModelValidator):
    def validate(self, model):
        return {"bytes": float(model.stat().st_size)}


class TestSize(ModelValidatorContract):
    def make(self):
        return Size()

    def context(self, workspace):
        return TrainerContext("site-1", workspace, workspace, {}, {}, {}, lambda *_: None)

    def model(self, destination):
        destination.write_bytes(b"a model")


class Consumes(Size):
    def validate(self, model):
        metrics = super().validate(model)
        model.write_bytes(b"")
        return metrics


def test_a_bad_validator_is_caught(tmp_path):
    suite = type("Suite", (TestSize,), {"make": lambda _: Consumes()})
    assert failures(suite, tmp_path=lambda: tmp_path) == {"test_metrics"}


class Greets(AdminCmdModule):
    specs: Sequence[object] = (
        CommandSpec("hello", "Greet the server."),
        CommandSpec(
            "good_bye",
            "Say good-bye to clients.",
            targets=TargetKind.CLIENTS,
            parameters=(Parameter("N", "int"),),
            examples=("good_bye 3 client site-1  # three times",),
        ),
    )
    last: object = Value({})

    def get_commands(self):
        return self.specs

    async def execute(self, call, operations):
        yield Text("hello")
        yield self.last


class TestGreets(AdminCmdModuleContract):
    def make(self):
        return Greets()


HELLO, GOOD_BYE = Greets.specs
WITHOUT_EXAMPLE = CommandSpec("hello", "Greet.", parameters=(Parameter("N"),))


@pytest.mark.parametrize(
    ("specs", "tests"),
    [
        ((), {"test_commands"}),
        ((HELLO, HELLO), {"test_commands"}),
        ((replace(HELLO, name="hello you"),), {"test_commands"}),
        ((replace(HELLO, name="deploy"),), {"test_commands"}),
        ((replace(HELLO, summary="Greet"),), {"test_specifications"}),
        ((replace(GOOD_BYE, parameters=(Parameter("n"),)),), {"test_specifications"}),
        ((WITHOUT_EXAMPLE,), {"test_examples"}),
        ((replace(HELLO, examples=("hullo",)),), {"test_examples", "test_execution"}),
        ((replace(HELLO, examples=("hello you",)),), {"test_examples", "test_execution"}),
    ],
)
def test_a_command_module_with_bad_specifications_is_caught(specs, tests):
    bad = type("Bad", (Greets,), {"specs": specs})
    suite = type("Suite", (AdminCmdModuleContract,), {"make": lambda _: bad()})
    assert tests <= failures(suite) <= tests | {"test_execution"}


@pytest.mark.parametrize("last", [Text("bye"), Text(3), Table(("a",), [[1]])])
def test_a_command_module_with_bad_events_is_caught(last):
    bad = type("Bad", (Greets,), {"last": last})
    suite = type("Suite", (AdminCmdModuleContract,), {"make": lambda _: bad()})
    assert failures(suite) == {"test_execution"}


class InventsClients(Workflow):
    def participants(self, active, *, round_number, seed, per_round):
        return ["site-99"]


class Unsteady(Workflow):
    def __init__(self):
        self.asked = 0

    def participants(self, active, *, round_number, seed, per_round):
        self.asked += 1
        return active[self.asked % max(len(active), 1) :][:per_round]


@pytest.mark.parametrize(
    ("bad", "test"),
    [
        (InventsClients, "test_chooses_among_the_active"),
        (Unsteady, "test_same_arguments_same_answer"),
    ],
)
def test_a_bad_workflow_is_caught(bad, test):
    assert test in failures(type("Suite", (WorkflowContract,), {"make": lambda _: bad()}))


class Appends(ResultProcessor):
    def get_topics(self):
        return ["notes"]

    def process(self, topic, result, context):
        with (context.run_folder / "notes.txt").open("a") as file:
            file.write(f"{result}\n")
        return {}


def test_a_processor_that_counts_twice_is_caught(tmp_path):
    from itertools import count

    from mmar_runner.interfaces.result_processor import ResultContext

    number = count()

    def context():
        folder = tmp_path / str(next(number)) / "run_1"
        folder.mkdir(parents=True)
        return ResultContext("site-1", 1, folder)

    attributes = {"make": lambda _: Appends(), "sample": lambda _: ("notes", {"text": "one"})}
    suite = type("Suite", (ResultProcessorContract,), attributes)
    assert failures(suite, context=context) == {"test_a_result_that_comes_twice_counts_once"}


class _LastOne(WholeUpdateAggregator):
    """Takes the last update for the result, in float32, and says nothing of what it left out."""

    def begin(self, round_):
        pass

    def accept(self, update):
        with TensorReader(update.file) as reader:
            self.last = reader.read("layer.weight")
        return ""

    def aggregate(self, destination):
        with TensorWriter(destination, [("layer.weight", "F32", (3, 4))]) as writer:
            writer.write("layer.weight", self.last)
            writer.commit()
        return WholeResult(UpdateKind.WEIGHT_DIFF)


def test_a_rule_that_takes_the_last_update_breaks_its_suite(tmp_path):
    class Suite(WholeUpdateAggregatorContract):
        def make(self):
            return _LastOne()

    assert failures(Suite, tmp_path=lambda: tmp_path) == {
        "test_a_result_is_one_of_the_model",
        "test_order_does_not_matter",
    }
