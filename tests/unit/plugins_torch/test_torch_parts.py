# SPDX-License-Identifier: Apache-2.0
"""Metrics, networks, files, batches, and the table of parts."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.utils.data import TensorDataset

from mmar_runner.documents.schema_check import faults
from mmar_runner.errors import FormatError, SchemaMismatchError, TaskFailedError
from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.checks.case import Look
from mmar_runner.mmar.checks.tensors import shapes_of
from mmar_runner.mmar.components.resolving import Resolver
from mmar_runner.mmar.finding import Findings
from mmar_runner_torch.batches import matched, pair_of
from mmar_runner_torch.files import read_state, write_state
from mmar_runner_torch.measuring import Measuring
from mmar_runner_torch.metrics import AUC, Accuracy
from mmar_runner_torch.models import MLP, SmallConvNet
from mmar_runner_torch.parts_table import PARTS
from mmar_runner_torch.persistor import PTFileModelPersistor


@pytest.mark.parametrize(
    ("network", "args"),
    [
        (MLP, {"in_features": 30, "out_features": 1}),
        (MLP, {"in_features": 5, "out_features": 2, "hidden": [], "dropout": 0.5}),
        (MLP, {"in_features": 5, "out_features": 2, "hidden": [7, 3], "dropout": 0.5}),
        (MLP, {"in_features": 5, "out_features": 2, "hidden": [7, 3, 4]}),
        (SmallConvNet, {}),
        (SmallConvNet, {"in_channels": 3, "num_classes": 4, "width": 5}),
    ],
)
def test_the_tensors_that_are_stated_of_a_network_are_those_that_it_has(network, args):
    findings = Findings()
    resolver = Resolver(load_plugins().registry, None, findings)
    look = Look(None, None, None, resolver, "all", findings)
    state = network(**args).state_dict()

    stated = shapes_of(look, {"name": network.__name__, "args": args})

    assert stated == {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}


def measured(metric, outputs, targets, batch=3):
    for begin in range(0, len(targets), batch):
        metric.update(outputs[begin : begin + batch], targets[begin : begin + batch])
    return metric.compute()


def test_accuracy_of_classes_and_of_single_logits():
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0], [0.0, 0.5]])
    assert measured(Accuracy(), logits, torch.tensor([0, 1, 1, 1])) == 0.75
    one = torch.tensor([-1.0, 2.0, 0.5, -3.0])
    assert measured(Accuracy(), one, torch.tensor([0.0, 1.0, 0.0, 0.0])) == 0.75
    assert measured(Accuracy(threshold=1.0), one, torch.tensor([0.0, 1.0, 0.0, 0.0])) == 1.0


def test_auc_ranks_and_knows_when_it_is_not_defined():
    one = torch.tensor([0.1, 0.4, 0.35, 0.8])
    labels = torch.tensor([0.0, 0.0, 1.0, 1.0])
    assert measured(AUC(), one, labels) == 0.75
    two = torch.stack([-one, one], dim=1)
    assert measured(AUC(), two, labels.long()) == 0.75
    three = torch.eye(3).repeat(2, 1)
    assert measured(AUC(), three, torch.arange(3).repeat(2)) == 1.0
    assert measured(AUC(), one, torch.ones(4)) is None


def test_a_metric_that_is_left_out_says_what_it_needs_once(caplog):
    """The server said that there was no val_auc, and nobody said why."""
    made = {
        "dataset": TensorDataset(torch.zeros(4, 2), torch.ones(4)),
        "metric": AUC(),
        "loss": torch.nn.BCEWithLogitsLoss(),
    }

    class Context:
        def blueprint(self, kind, declaration):
            return SimpleNamespace(name=declaration["name"], args={}, build=lambda: made[kind])

    measuring = Measuring(
        Context(), {"dataset": {"name": "data"}, "metrics": [{"name": "AUC"}]}, {"name": "loss"}
    )
    for _ in range(2):
        found = measuring.measure(torch.nn.Linear(2, 1), torch.device("cpu"))
        assert found.keys() == {"val_loss"}
    (record,) = caplog.records
    assert "val_auc is left out" in record.getMessage()
    assert "cases of every class" in record.getMessage()


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_auc_is_the_one_of_scikit_learn(classes, levels):
    chance = torch.Generator().manual_seed(classes * levels)
    labels = torch.cat([torch.arange(classes), torch.randint(classes, (90,), generator=chance)])
    scores = torch.randint(levels, (len(labels), classes), generator=chance).double()
    if classes == 2:
        expected = roc_auc_score(labels, scores[:, 0])
        assert measured(AUC(), scores[:, 0], labels) == pytest.approx(expected, abs=1e-12)
    else:
        expected = roc_auc_score(labels, scores.softmax(dim=1), multi_class="ovr")
        assert measured(AUC(), scores, labels) == pytest.approx(expected, abs=1e-12)


def test_auc_of_outputs_that_are_no_numbers_is_refused():
    with pytest.raises(ValueError, match="not all finite"):
        measured(AUC(), torch.tensor([0.1, float("nan")]), torch.tensor([0.0, 1.0]))


def test_a_metric_forgets_on_reset():
    accuracy = Accuracy()
    assert accuracy.compute() is None
    measured(accuracy, torch.ones(2), torch.ones(2))
    accuracy.reset()
    assert accuracy.compute() is None


def test_outputs_and_targets_are_made_to_fit():
    outputs, targets = matched(torch.zeros(4, 1), torch.arange(4))
    assert outputs.shape == (4,)
    assert targets.dtype == torch.float32
    outputs, targets = matched(torch.zeros(4, 3), torch.arange(4))
    assert (outputs.shape, targets.dtype) == ((4, 3), torch.int64)


def test_batches_may_be_mappings_and_nothing_else_is_guessed():
    pair = {"image": torch.zeros(2), "label": torch.ones(2), "name": ["a", "b"]}
    assert torch.equal(pair_of(pair, torch.device("cpu"))[1], torch.ones(2))
    with pytest.raises(TaskFailedError, match="Tensor batches"):
        pair_of(torch.zeros(3), torch.device("cpu"))


def test_networks_answer_in_the_declared_shapes():
    assert MLP(30, 2, hidden=[])(torch.zeros(5, 30)).shape == (5, 2)
    assert MLP(30, 1, hidden=[8, 4], dropout=0.5)(torch.zeros(5, 30)).shape == (5, 1)
    for size in (8, 28):
        assert SmallConvNet(1, 10, 4)(torch.zeros(2, 1, size, size)).shape == (2, 10)


def test_every_type_of_tensor_survives_the_file(tmp_path):
    state = {
        "f32": torch.randn(3, 4),
        "f16": torch.randn(2).half(),
        "bf16": torch.randn(5).bfloat16(),
        "f8": torch.randn(3).to(torch.float8_e4m3fn),
        "scalar": torch.tensor(7),
        "bool": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "strided": torch.arange(6.0).reshape(2, 3).T,
    }
    path = tmp_path / "all.safetensors"
    path.write_bytes(b"an older file, longer" * 1000)
    write_state(path, state)
    for loaded in (read_state(path), load_file(path)):
        for name, tensor in state.items():
            assert loaded[name].dtype == tensor.dtype
            same = loaded[name].reshape(-1).contiguous().view(torch.uint8)
            assert torch.equal(same, tensor.contiguous().reshape(-1).view(torch.uint8))
            assert loaded[name].shape == tensor.shape


def test_a_tensor_that_cannot_be_stored_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"'wave' has type torch\.complex64"):
        write_state(tmp_path / "x", {"wave": torch.zeros(1, dtype=torch.complex64)})


class NetworkBlueprint:
    """Builds a small linear network, as a `Blueprint` would."""

    def build(self):
        return nn.Linear(3, 2)


@pytest.fixture
def persistor():
    return PTFileModelPersistor(NetworkBlueprint())


def test_the_initial_model_comes_from_the_seed(persistor, tmp_path):
    files = [tmp_path / name for name in "abc"]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        persistor.initial_model(file, seed=seed)
    first, same, other = (file.read_bytes() for file in files)
    assert first == same != other


@pytest.mark.parametrize("wrap", [dict, lambda s: {"model": s, "epoch": 3}])
def test_a_checkpoint_becomes_a_model_and_is_exported_again(persistor, tmp_path, wrap):
    network = nn.Linear(3, 2)
    torch.save(wrap(network.state_dict()), tmp_path / "model.pt")
    persistor.convert(tmp_path / "model.pt", tmp_path / "m.safetensors")
    exported = persistor.export(tmp_path / "m.safetensors", tmp_path)
    assert exported.name == "final_model.pt"
    state = torch.load(exported, weights_only=True)
    assert all(torch.equal(state[n], t) for n, t in network.state_dict().items())


def test_checkpoints_that_are_something_else_are_refused(persistor, tmp_path):
    file = tmp_path / "model.pt"
    target = tmp_path / "m.safetensors"
    file.write_bytes(b"not a checkpoint")
    with pytest.raises(FormatError, match=r"model\.pt"):
        persistor.convert(file, target)
    torch.save(nn.Linear(3, 2), file)  # a whole object: code, not data
    with pytest.raises(FormatError, match="more than tensors") as caught:
        persistor.convert(file, target)
    assert "state_dict" in caught.value.hint
    torch.save({"weight": torch.zeros(2, 3)}, file)
    with pytest.raises(FormatError, match="lacks tensor 'bias'"):
        persistor.convert(file, target)
    torch.save(nn.Linear(4, 2).state_dict(), file)
    with pytest.raises(SchemaMismatchError, match=r"'weight' is float32\[2, 4\]"):
        persistor.convert(file, target)
    assert not target.exists()


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part[1])
def test_every_part_exists_and_takes_the_arguments_of_its_schema(part):
    _, _, target, properties, required, summary = part
    module, _, attribute = target.partition(":")
    parameters = inspect.signature(getattr(importlib.import_module(module), attribute)).parameters
    assert set(properties) <= set(parameters)
    assert set(required) <= set(properties)
    assert summary.endswith(".")
    for name, schema in properties.items():
        assert schema["description"].endswith("."), name
        default = parameters[name].default
        assert (name in required) == (default is inspect.Parameter.empty), name
        if "default" in schema:
            given = schema["default"]
            assert (tuple(given) if isinstance(given, list) else given) == default, name


def test_registering_does_not_import_torch():
    code = (
        "import sys, mmar_runner.hooks as h; plugins = h.load_plugins();"
        "assert plugins.registry.find('client_trainer', 'TorchTrainer');"
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_making_and_exporting_a_model_does_not_import_the_compiler_or_sklearn(tmp_path):
    code = (
        "import sys, pathlib; from mmar_runner_torch.persistor import PTFileModelPersistor;"
        "from mmar_runner_torch.models import MLP;"
        "build = type('B', (), {'build': lambda self: MLP(3, 2)})();"
        "folder = pathlib.Path(sys.argv[1]); persistor = PTFileModelPersistor(build);"
        "persistor.initial_model(folder / 'm', seed=1); persistor.export(folder / 'm', folder);"
        "sys.exit(bool({'torch._dynamo', 'torch._inductor', 'sklearn'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("SmallConvNet", "width", 10**12),
        ("SmallConvNet", "num_classes", 10**12),
        ("MLP", "hidden", [16] * 10**4),
        ("MLP", "hidden", [10**12]),
    ],
)
def test_numbers_that_no_job_needs_are_refused_before_anything_is_built(name, argument, value):
    (schema,) = [part[3][argument] for part in PARTS if part[1] == name]
    assert faults(schema, value)
    assert not faults(schema, schema["default"])
