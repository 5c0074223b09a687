# SPDX-License-Identifier: Apache-2.0
"""The config-driven trainer: it learns, repeats itself bit for bit, and says what is wrong."""

from __future__ import annotations

import copy
import inspect
from dataclasses import replace

import pytest
import torch

from mmar_runner.errors import ComponentBuildError, SchemaMismatchError, TaskFailedError
from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.components import blueprint
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.client_trainer import TrainerContext, TrainTask
from mmar_runner_torch.files import read_state, write_state
from mmar_runner_torch.fitting import loss_of, outputs_of
from mmar_runner_torch.persistor import PTFileModelPersistor
from mmar_runner_torch.schemas import PERSISTOR_ARGS, TRAINER_ARGS, VALIDATOR_ARGS
from mmar_runner_torch.trainer import TorchTrainer
from mmar_runner_torch.validator import TorchModelValidator

MODEL = {"name": "MLP", "args": {"in_features": 30, "hidden": [8], "out_features": 1}}
CONFIG = {
    "train": {
        "model": MODEL,
        "loss": {"name": "BCEWithLogitsLoss"},
        "optimizer": {"name": "SGD", "args": {"lr": 0.05, "momentum": 0.9}},
        "dataset": {"name": "BreastCancerDataset", "args": {"num_sites": 3, "site_index": 2}},
        "dataloader": {"name": "DataLoader", "args": {"batch_size": 8}},
    },
    "validate": {
        "dataset": {
            "name": "BreastCancerDataset",
            "args": {"num_sites": 3, "site_index": 2, "partition": "held_out"},
        },
        "metrics": [{"name": "AUC"}, {"name": "Accuracy", "log_label": "val_right"}],
    },
}


@pytest.fixture(scope="module")
def catalog():
    return load_plugins(allow=["mmar-runner-torch", "mmar-runner-sklearn"]).registry


@pytest.fixture
def made(catalog, tmp_path):
    """Return a function that sets up a trainer for a changed configuration."""

    def make(change=lambda config: None, **args):
        config = copy.deepcopy(CONFIG)
        change(config)
        trainer = TorchTrainer(device="cpu", **args)
        trainer.setup(context(catalog, tmp_path, config))
        return trainer

    return make


def context(catalog, folder, config, validation=None):
    return TrainerContext(
        client_name="site-2",
        mmar=folder,
        workspace=folder,
        train_config=config,
        validation_config=validation or {},
        variables={},
        blueprint=lambda kind, declaration: blueprint(catalog, kind, declaration),
    )


@pytest.fixture
def initial(catalog, tmp_path):
    return initial_model(catalog, tmp_path / "global.safetensors", MODEL)


def initial_model(catalog, path, model, seed=3, **args):
    PTFileModelPersistor(blueprint(catalog, "model", model), **args).initial_model(path, seed=seed)
    return path


def task(folder, model, number=0, seed=11):
    for name in ("state", "new_state"):
        (folder / name).mkdir(exist_ok=True)
    update = folder / "update.safetensors"
    return TrainTask(1, number, 5, seed, model, update, folder / "state", folder / "new_state")


def test_every_step_is_told(made, initial, tmp_path):
    steps = []
    one = replace(task(tmp_path, initial), progress=lambda *step: steps.append(step))
    made(steps_aggregation=5).train(one)
    assert steps == [(number, 5) for number in range(1, 6)]


def test_rounds_make_the_model_better(made, initial, tmp_path):
    trainer = made(local_epochs=3)
    first = trainer.train(task(tmp_path, initial))
    for number in range(1, 4):
        tmp_path.joinpath("update.safetensors").rename(initial)
        last = trainer.train(task(tmp_path, initial, number))
    assert first.num_samples == 36
    assert set(first.validation) == {"val_auc", "val_right", "val_loss"}
    assert last.validation["val_loss"] < first.validation["val_loss"] / 2
    assert last.validation["val_auc"] > 0.95
    assert last.metrics["train_loss"] < first.metrics["train_loss"]


def test_the_same_seed_gives_the_same_bytes_in_any_process_state(made, initial, tmp_path):
    def update(trainer, seed):
        trainer.train(task(tmp_path, initial, seed=seed))
        return (tmp_path / "update.safetensors").read_bytes()

    used = made()
    expected = update(used, 1)
    other = update(used, 2)
    torch.manual_seed(99)
    assert update(used, 1) == expected
    assert update(made(), 1) == expected
    assert other != expected


def test_a_difference_is_what_is_added_to_the_received_model(made, initial, tmp_path):
    before = read_state(initial)
    made().train(task(tmp_path, initial))
    weights = read_state(tmp_path / "update.safetensors")
    result = made(send="weight_diff").train(task(tmp_path, initial))
    difference = read_state(tmp_path / "update.safetensors")
    assert result.kind is UpdateKind.WEIGHT_DIFF
    for name, value in weights.items():
        assert torch.allclose(before[name] + difference[name], value, atol=1e-7)


def narrow(config):
    config["train"]["model"]["args"]["in_features"] = 9


def two_outputs(config):
    config["train"]["model"]["args"]["out_features"] = 2


COMPARED = (
    r"BCEWithLogitsLoss cannot compare outputs of float32\[\d+, 2\] with targets of \w+\[\d+\]"
)


@pytest.mark.parametrize(
    ("change", "said", "mend"),
    [
        (narrow, r"of float32\[\d+, 30\] \(its first layer has in_features 9, and", "'model'"),
        (two_outputs, COMPARED, "an output for every target"),
    ],
)
def test_what_does_not_fit_is_said_in_numbers(made, catalog, tmp_path, change, said, mend):
    """Torch's own words name two matrices, and neither the network, the loss nor the data."""
    config = copy.deepcopy(CONFIG)
    change(config)
    model = initial_model(catalog, tmp_path / "m.safetensors", config["train"]["model"])
    with pytest.raises(TaskFailedError, match=said) as caught:
        made(change).train(task(tmp_path, model))
    assert mend in caught.value.hint
    assert "config_train.json" in caught.value.hint


def test_a_class_that_the_network_has_no_output_for_is_said_with_the_shapes():
    outputs, targets = torch.zeros(4, 2), torch.tensor([0, 1, 2, 1])
    with pytest.raises(
        TaskFailedError, match=r"float32\[4, 2\].*int64\[4\].*out of bounds"
    ) as caught:
        loss_of(torch.nn.CrossEntropyLoss(), outputs, targets)
    assert "classes from 0" in caught.value.hint


def test_channels_that_do_not_fit_are_said():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
    with pytest.raises(TaskFailedError, match="in_channels 3, and they have 1"):
        outputs_of(network, torch.zeros(2, 1, 8, 8))


def test_a_lack_of_memory_is_not_said_to_be_a_misfit():
    def greedy(inputs):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(RuntimeError, match="allocate") as caught:
        outputs_of(greedy, torch.zeros(1))
    assert not isinstance(caught.value, TaskFailedError)


def test_a_loss_that_is_nan_is_the_data_or_the_learning_rate(made, initial, tmp_path):
    """It was `metric 'train_loss' is nan, which is not finite`, without a mend."""

    def fast(config):
        config["train"]["optimizer"]["args"]["lr"] = 1e30

    with pytest.raises(TaskFailedError, match=r"the loss became (nan|inf) within") as caught:
        made(fast, local_epochs=3).train(task(tmp_path, initial))
    assert "lower the learning rate" in caught.value.hint

    trainer = made()
    pairs = [(inputs.copy(), target) for inputs, target in trainer._dataset]
    pairs[3][0][5] = float("nan")
    trainer._dataset = pairs
    with pytest.raises(TaskFailedError, match=r"inputs of batch \d hold NaN") as caught:
        trainer.train(task(tmp_path, initial))
    assert "clean the data" in caught.value.hint


def test_steps_go_before_epochs_and_are_counted(made, initial, tmp_path):
    result = made(local_epochs=9, steps_aggregation=7).train(task(tmp_path, initial))
    # 36 cases make 4 batches of 8 and one of 4; the sixth and seventh are 8 again.
    assert result.num_samples == 36 + 16


def test_the_learning_rate_follows_the_epochs_of_the_run(made, initial, tmp_path):
    def scheduled(config):
        config["train"]["lr_scheduler"] = {
            "name": "StepLR",
            "args": {"step_size": 2, "gamma": 1e-9},
        }

    def moved(number):
        made(scheduled, local_epochs=1).train(task(tmp_path, initial, number))
        update, before = read_state(tmp_path / "update.safetensors"), read_state(initial)
        return max(float((update[n] - before[n]).abs().max()) for n in before)

    assert moved(1) > 1e-3
    assert moved(2) < 1e-6


def test_a_disabled_scheduler_and_metric_are_left_out(made, initial, tmp_path):
    def disabled(config):
        config["train"]["lr_scheduler"] = {"name": "StepLR", "disabled": True}
        config["validate"]["metrics"][0]["disabled"] = True

    result = made(disabled).train(task(tmp_path, initial))
    assert set(result.validation) == {"val_right", "val_loss"}


def test_classes_of_torch_may_be_named_by_path(made, initial, tmp_path):
    def by_path(config):
        config["train"]["loss"] = {"path": "torch.nn.BCEWithLogitsLoss"}
        config["train"]["optimizer"] = {"path": "torch.optim.NAdam", "args": {"lr": 0.01}}

    assert made(by_path).train(task(tmp_path, initial)).num_samples == 36


def test_a_wrong_argument_is_found_at_setup(made):
    def wrong(config):
        config["train"]["optimizer"]["args"]["momentun"] = 0.9

    with pytest.raises(ComponentBuildError, match="momentun"):
        made(wrong)


def test_no_training_section_is_a_sentence(made):
    with pytest.raises(TaskFailedError, match=r"config_train\.json"):
        made(lambda config: config.pop("train"))


def test_another_network_than_the_global_model_is_named(made, catalog, tmp_path):
    other = {"name": "MLP", "args": {"in_features": 30, "hidden": [9], "out_features": 1}}
    model = initial_model(catalog, tmp_path / "other.safetensors", other)
    with pytest.raises(SchemaMismatchError, match=r"'0\.weight' is float32\[9, 30\].*\[8, 30\]"):
        made().train(task(tmp_path, model))


def test_integers_and_scalars_of_a_network_travel(made, catalog, tmp_path):
    """Batch normalisation counts its batches in a 0-d int64 tensor."""
    network = {"path": "torch.nn.BatchNorm1d", "args": {"num_features": 30}}

    def normalised(config):
        config["train"]["model"] = network
        config["train"]["loss"] = {"name": "MSELoss"}
        config["train"]["dataset"] = {"name": "BreastCancerDataset"}
        config.pop("validate")

    trainer = made(normalised)
    trainer._loss = lambda outputs, targets: outputs.square().mean()
    model = initial_model(catalog, tmp_path / "bn.safetensors", network)
    trainer.train(task(tmp_path, model))
    update = read_state(tmp_path / "update.safetensors")
    assert update["num_batches_tracked"].dtype == torch.int64
    assert update["num_batches_tracked"].shape == ()
    assert int(update["num_batches_tracked"]) == 15  # 119 cases in batches of 8


def test_what_is_not_shared_stays_at_the_site(made, catalog, tmp_path):
    model = initial_model(catalog, tmp_path / "g.safetensors", MODEL, exclude_vars="^2")
    assert set(read_state(model)) == {"0.weight", "0.bias"}
    trainer = made()
    trainer.train(task(tmp_path, model, 0))
    assert set(read_state(tmp_path / "update.safetensors")) == {"0.weight", "0.bias"}
    kept = read_state(tmp_path / "new_state/personal.safetensors")
    assert set(kept) == {"2.weight", "2.bias"}

    def update(state):
        made_now = task(tmp_path, model, 1)
        made().train(
            TrainTask(1, 1, 5, 4, model, made_now.update, tmp_path / state, made_now.new_state)
        )
        return made_now.update.read_bytes()

    # Only what was acknowledged counts: an empty state is the beginning again.
    (tmp_path / "acknowledged").mkdir()
    write_state(tmp_path / "acknowledged/personal.safetensors", kept)
    assert update("acknowledged") != update("state")
    assert update("acknowledged") == update("acknowledged")


def test_a_validator_measures_what_the_trainer_measures(made, initial, catalog, tmp_path):
    trainer = made()
    trainer.train(task(tmp_path, initial))
    model = tmp_path / "update.safetensors"
    validator = TorchModelValidator(device="cpu")
    validator.setup(context(catalog, tmp_path, CONFIG))
    assert validator.validate(model) == trainer.validate(model)
    pooled = {"validate": copy.deepcopy(CONFIG["validate"])}
    pooled["validate"]["dataset"]["args"]["pooled"] = True
    validator.setup(context(catalog, tmp_path, CONFIG, pooled))
    assert validator.validate(model) != trainer.validate(model)


@pytest.mark.parametrize(
    ("component", "schema"),
    [
        (TorchTrainer, TRAINER_ARGS),
        (TorchModelValidator, VALIDATOR_ARGS),
        (PTFileModelPersistor, PERSISTOR_ARGS),
    ],
)
def test_schemas_are_the_constructors_signatures(component, schema):
    empty = inspect.Parameter.empty
    parameters = inspect.signature(component).parameters
    declared = {name: p.get("default", empty) for name, p in schema["properties"].items()}
    assert {name: p.default for name, p in parameters.items()} == declared
