# SPDX-License-Identifier: Apache-2.0
"""What parts of a workflow need of each other is found before a trainer starts."""

from __future__ import annotations

from pathlib import Path

import pytest

SAMPLE = Path(__file__).resolve().parents[3] / "mmars" / "spheres_unet"
TRAIN = "config/config_train.json"
VALIDATION = "config/config_validation.json"


def _handler(name, **args):
    return {"name": name, "args": args}


def _add(section, name, **args):
    return lambda v: v[section]["handlers"].append(_handler(name, **args))


def _saved(section, names):
    return _add(section, "CheckpointSaver", save_dir="models", save_dict=names)


def _metrics(section, **args):
    return _add(section, "MetricsSaver", save_dir="metrics", **args)


def _without(section, key):
    return lambda v: v[section].pop(key) if section else v.pop(key)


def _engine(section, key, name, **args):
    return lambda v: v[section].update({key: {"name": name, "args": args}})


def _smart(value):
    value["train"]["handlers"].append({"name": "SmartCacheHandler"})


def _off(value):
    value["train"]["lr_scheduler"]["disabled"] = True


LACKS = {
    "no schedule": (
        _without("train", "lr_scheduler"),
        ("MMAR635", "/train/handlers/1"),
        "Declare 'train.lr_scheduler', or remove 'LrScheduleHandler'.",
    ),
    "a schedule that is off": (
        _off,
        ("MMAR635", "/train/handlers/1"),
        "Declare 'train.lr_scheduler'",
    ),
    "no validation": (
        _without("", "validate"),
        ("MMAR635", "/train/handlers/2"),
        "Declare 'validate', or remove 'ValidationHandler'.",
    ),
    "another cache": (
        _smart,
        ("MMAR635", "/train/handlers/4"),
        "Declare a SmartCacheDataset, or remove 'SmartCacheHandler'.",
    ),
    "a handler of training that measures": (
        _add("validate", "ValidationHandler", interval=1),
        ("MMAR635", "/validate/handlers/2"),
        "Move it to 'train.handlers', or remove it.",
    ),
    "something to save that does not exist": (
        _saved("train", ["model", "optimiser"]),
        ("MMAR514", "/train/handlers/4/args/save_dict/1"),
        "Did you mean 'optimizer'?",
    ),
    "something to save under a name of its own": (
        _saved("train", {"net": "network"}),
        ("MMAR514", "/train/handlers/4/args/save_dict/net"),
        "Known here: model, optimizer, lr_scheduler, trainer, validator.",
    ),
    "something to save that is not there when measured": (
        _saved("validate", ["optimizer"]),
        ("MMAR514", "/validate/handlers/2/args/save_dict/0"),
        "Known here: model, trainer.",
    ),
    "an evaluator that is to train": (
        _engine("train", "trainer", "SupervisedEvaluator", max_epochs=2),
        ("MMAR502", "/train/trainer/name"),
        "Write SupervisedTrainer, with arguments of it, or remove 'trainer'.",
    ),
    "a trainer that is to measure": (
        _engine("validate", "evaluator", "SupervisedTrainer"),
        ("MMAR502", "/validate/evaluator/name"),
        "Write SupervisedEvaluator, with arguments of it, or remove 'evaluator'.",
    ),
    "a metric that nobody measures": (
        _metrics("validate", metrics=["val_acc", "val_mean_dise"]),
        ("MMAR628", "/validate/handlers/2/args/metrics/1"),
        "Did you mean 'val_mean_dice'?",
    ),
    "a metric of the other engine": (
        _metrics("train", metrics="val_acc"),
        ("MMAR628", "/train/handlers/4/args/metrics"),
        "train_acc",
    ),
    "details of a metric that nobody measures": (
        _metrics("validate", metric_details=["dice"]),
        ("MMAR628", "/validate/handlers/2/args/metric_details/0"),
        "What is measured: val_mean_dice, val_acc.",
    ),
    "a best model by what nobody measures": (
        lambda v: v["validate"]["handlers"][1]["args"].update(key_metric_name="dice"),
        ("MMAR628", "/validate/handlers/1/args/key_metric_name"),
        "What is measured: val_mean_dice, val_acc.",
    ),
    "a handler that cannot be attached": (
        lambda v: v["train"]["handlers"].append({"path": "ignite.handlers.TerminateOnNan"}),
        ("MMAR503", "/train/handlers/4/path"),
        "the handler that its bare name means can",
    ),
    "a summary of no known kind": (
        _metrics("validate", metrics="*", summary_ops=["mean", "average"]),
        ("MMAR514", "/validate/handlers/2/args/summary_ops/1"),
        "90percentile",
    ),
    "a summary by a wrong percentile": (
        _metrics("validate", metrics="*", summary_ops="101percentile"),
        ("MMAR514", "/validate/handlers/2/args/summary_ops"),
        "90percentile",
    ),
}


@pytest.mark.parametrize(("edit", "place", "mend"), LACKS.values(), ids=LACKS)
def test_what_a_part_lacks_is_found_alone_with_its_mend(found, edit, place, mend):
    (one,) = [f for f in found(edit) if f.file == TRAIN]

    assert (one.code, one.pointer) == place
    assert mend in f"{one.hint} {one.message}"


FITS = {
    "everything that is measured": _metrics("validate", metrics="*", summary_ops="*"),
    "what is measured": _metrics(
        "validate",
        metrics=["val_acc"],
        metric_details="val_mean_dice",
        summary_ops=["mean", "notnans", "90percentile"],
    ),
    "names of its own": _saved("train", {"net": "model", "step": "lr_scheduler"}),
    "all that there is": _saved("train", ["model", "optimizer", "lr_scheduler", "trainer"]),
    "engines by path": lambda v: v["validate"].update(
        evaluator={"path": "monai.engines.SupervisedEvaluator"}
    ),
}


@pytest.mark.parametrize("edit", FITS.values(), ids=FITS)
def test_what_fits_is_not_found(found, edit):
    assert found(edit) == []


def test_a_schedule_whose_key_is_misspelt_is_said_once(found):
    def misspelt(value):
        value["train"]["lr_schedular"] = value["train"].pop("lr_scheduler")

    (one,) = found(misspelt)

    assert (one.code, one.hint) == ("MMAR404", "Did you mean 'lr_scheduler'?")


def test_a_metric_that_is_declared_elsewhere_is_believed(found):
    def refers(value):
        value["train"]["metrics"] = [{"ref": "MeanDice"}]
        value["train"]["handlers"].append(
            _handler("MetricsSaver", save_dir="metrics", metrics="train_meandice")
        )

    assert found(refers) == []


def test_where_nothing_is_trained_no_handler_works_on_a_training(found):
    def early(value):
        stop = _handler("EarlyStopHandler", patience=1, score_function="lambda x: x")
        value.setdefault("handlers", []).append(stop)

    (one,) = found(early, VALIDATION)

    assert (one.code, one.file, one.hint) == ("MMAR635", VALIDATION, "Remove it.")


def test_an_older_weight_of_a_loss_is_brought_up_to_date(found):
    def weighted(value):
        args = {"softmax": True, "to_onehot_y": True, "ce_weight": [0.2, 1], "lambda_ce": 0.5}
        value["train"]["loss"] = {"name": "DiceCELoss", "args": args}

    assert found(weighted) == []
