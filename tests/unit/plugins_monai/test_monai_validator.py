# SPDX-License-Identifier: Apache-2.0
"""A model is measured as config_validation.json says, or the training file."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from mmar_runner.errors import TaskFailedError
from mmar_runner_monai.measures import numbers

LABELS = ["val_mean_dice", "val_accuracy"]
MODELS = [
    {"ts_path": "{MMAR_TORCHSCRIPT}", "disabled": False},
    {"ckpt_path": "{MMAR_CKPT}", "disabled": True},
]


def own_file(site, change=lambda own: None):
    """Return the site with a validation file in Clara's form."""
    own = copy.deepcopy(site.config["validate"])
    own["pre_transforms"] = copy.deepcopy(site.config["train"]["pre_transforms"][:2])
    own["post_transforms"] = copy.deepcopy(site.config["train"]["post_transforms"])
    change(own)
    return replace(site, validation={"amp": True, "model": MODELS, **own})


def measured(site, model):
    validator = site.validator()
    found = validator.validate(model)
    assert validator.validate(model) == found
    validator.close()
    return found


def test_both_files_measure_alike_and_as_the_trainer_does(site) -> None:
    model = site.model()
    found = measured(site, model)
    assert list(found) == LABELS
    assert measured(own_file(site), model) == found
    assert site.trained(site.task(model=model))[1].validation == found


def test_the_model_at_hand_takes_the_place_of_files(site, caplog) -> None:
    measured(own_file(site), site.model())
    assert "'ts_path' is not read" in caplog.text
    assert "ckpt_path" not in caplog.text


def test_its_handlers_write_in_the_workspace(site) -> None:
    saver = {
        "name": "MetricsSaver",
        "args": {
            "save_dir": "eval",
            "metrics": ["val_mean_dice", "val_accuracy"],
            "metric_details": ["val_mean_dice"],
            "batch_transform": "lambda x: x['image_meta_dict']",
            "summary_ops": "*",
        },
    }
    measured(own_file(site, lambda own: own["handlers"].append(saver)), site.model())
    written = site.folder / "workspace" / "eval"
    assert "val_mean_dice" in (written / "metrics.csv").read_text()
    assert "validation_0.nii" in (written / "val_mean_dice_raw.csv").read_text()


def test_only_finite_numbers_are_metrics_and_the_others_are_said_once(caplog) -> None:
    found = {"dice": torch.tensor([0.5]), "all": torch.ones(3), "nan": float("nan"), "n": 2}
    said: set[str] = set()
    assert [numbers(found, said) for _ in range(2)] == [{"dice": 0.5, "n": 2.0}] * 2
    assert [one.getMessage() for one in caplog.records] == [
        "all is left out, it is no number on this data",
        "nan is left out, it is nan on this data",
    ]


def test_a_network_may_lack_tensors_of_the_model(site, caplog) -> None:
    measured(site, site.model(norm="batch"))
    assert "the declared network lacks" in caplog.text


def test_without_a_workflow_it_says_what_it_needs(site) -> None:
    with pytest.raises(TaskFailedError, match="MonaiModelValidator needs the model"):
        site.but(lambda c: c.pop("validate")).validator()
