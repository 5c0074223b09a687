# SPDX-License-Identifier: Apache-2.0
"""A tiny Clara workflow on a few volumes of 8 x 8 x 8: a round takes a fraction of a second."""

from __future__ import annotations

import copy
import json
import pydoc
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.components import blueprint
from mmar_runner.interfaces.client_trainer import TrainerContext, TrainTask
from mmar_runner.mmar.validation import validate
from mmar_runner_monai import walls
from mmar_runner_monai.trainer import MonaiTrainer
from mmar_runner_monai.validator import MonaiModelValidator
from mmar_runner_torch.files import read_state, write_state


def _open_lookups() -> None:
    """Give MONAI its own lookup of paths back, which a trainer that is built here closes."""
    for name, module in list(sys.modules.items()):
        if name.startswith("monai.") and getattr(module, "locate", None) is walls._looked_up:
            module.locate = pydoc.locate  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def open_lookups() -> Iterator[None]:
    """A trainer lives in a process of its own; here tests share one, in any order."""
    _open_lookups()
    yield
    _open_lookups()


SAMPLE = Path(__file__).resolve().parents[3] / "mmars" / "spheres_unet"
TRAINING, VALIDATION, SIDE = 3, 2, 8
#: With dropout, so that every draw from torch's generator shows in the weights.
NETWORK = {
    "name": "UNet",
    "args": {
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 2,
        "channels": [2, 4],
        "strides": [2],
        "dropout": 0.1,
    },
}
LIST = {"data_list_file_path": "data/list.json", "data_file_base_dir": "data"}
BOTH = {"keys": ["image", "label"]}
PAIR = "lambda x: (x['pred'], x['label'])"
CONFIG = {
    "epochs": 2,
    "train": {
        "loss": {"name": "DiceLoss", "args": {"to_onehot_y": True, "softmax": True}},
        "optimizer": {"name": "Adam", "args": {"lr": 0.01}},
        "lr_scheduler": {"name": "StepLR", "args": {"step_size": 2, "gamma": 0.5}},
        "model": NETWORK,
        "pre_transforms": [
            {"name": "LoadImaged", "args": BOTH},
            {"name": "EnsureChannelFirstd#first", "args": BOTH},
            {
                "name": "RandCropByPosNegLabeld",
                "args": {
                    **BOTH,
                    "label_key": "label",
                    "spatial_size": [4, 4, 4],
                    "num_samples": 2,
                    "image_key": "image",
                },
            },
            {
                "name": "RandShiftIntensityd",
                "args": {"keys": "image", "offsets": 0.1, "prob": 0.5},
            },
        ],
        "dataset": {"name": "CacheDataset", **LIST, "data_list_key": "training"},
        "dataloader": {
            "name": "DataLoader",
            "args": {"batch_size": 1, "shuffle": True, "num_workers": 0},
        },
        "inferer": {"name": "SimpleInferer"},
        "handlers": [
            {"name": "LrScheduleHandler", "args": {"print_lr": True}},
            {"name": "ValidationHandler", "args": {"interval": 1, "epoch_level": True}},
            {
                "name": "CheckpointSaver",
                "rank": 0,
                "args": {
                    "save_dir": "models",
                    "save_dict": ["model", "optimizer", "lr_scheduler"],
                    "save_final": True,
                },
            },
            {
                "name": "StatsHandler",
                "args": {"tag_name": "train_loss", "output_transform": "lambda x: x['loss']"},
            },
        ],
        "post_transforms": [
            {"name": "Activationsd", "args": {"keys": "pred", "softmax": True}},
            {
                "name": "AsDiscreted#both",
                "args": {"keys": ["pred", "label"], "argmax": [True, False], "to_onehot": 2},
            },
        ],
        "metrics": [
            {
                "name": "Accuracy",
                "log_label": "train_acc",
                "is_key_metric": True,
                "args": {"output_transform": PAIR},
            }
        ],
        "trainer": {"name": "SupervisedTrainer", "args": {"max_epochs": 2}},
    },
    "validate": {
        "pre_transforms": [{"ref": "LoadImaged"}, {"ref": "first"}],
        "dataset": {"name": "Dataset", **LIST, "data_list_key": "validation"},
        "dataloader": {"name": "DataLoader", "args": {"batch_size": 1, "num_workers": 0}},
        "inferer": {
            "name": "SlidingWindowInferer",
            "args": {"roi_size": [8, 8, 8], "sw_batch_size": 4, "overlap": 0.5},
        },
        "handlers": [
            {"name": "StatsHandler", "args": {"output_transform": "lambda x: None"}},
        ],
        "post_transforms": [{"ref": "Activationsd"}, {"ref": "both"}],
        "metrics": [
            {"name": "Accuracy", "args": {"output_transform": PAIR}},
            {
                "name": "MeanDice",
                "log_label": "val_mean_dice",
                "is_key_metric": True,
                "args": {"include_background": False, "output_transform": PAIR},
            },
        ],
        "evaluator": {"name": "SupervisedEvaluator"},
    },
}


def write_volumes(folder: Path) -> None:
    """Write a data list and its files: a bright block in noise, and where it is."""
    drawn = np.random.default_rng(3)
    listed: dict[str, list[dict[str, str]]] = {"training": [], "validation": []}
    folder.mkdir(parents=True)
    for key, number in (("training", TRAINING), ("validation", VALIDATION)):
        for index in range(number):
            label = np.zeros((SIDE,) * 3, np.uint8)
            begin = drawn.integers(1, 4, 3)
            label[tuple(slice(b, b + 4) for b in begin)] = 1
            image = (label + 0.1 * drawn.standard_normal(label.shape)).astype(np.float32)
            names = {"image": f"{key}_{index}.nii", "label": f"{key}_{index}_label.nii"}
            for name, values in zip(names.values(), (image, label), strict=True):
                nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / name)
            listed[key].append(names)
    (folder / "list.json").write_text(json.dumps(listed))


@cache
def catalog():
    return load_plugins(allow=["mmar-runner-torch", "mmar-runner-monai"]).registry


@dataclass
class Site:
    """Builds trainers and gives them tasks.

    Attributes:
        mmar: Holds the data.
        folder: Where the files of tasks lie.
        config: Of trainers.
        validation: config_validation.json.
        variables: In force.
    """

    mmar: Path
    folder: Path
    config: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(CONFIG))
    validation: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)

    def but(self, change) -> Site:
        """Return the site with a configuration that was changed in place."""
        config = copy.deepcopy(self.config)
        change(config)
        return replace(self, config=config)

    def context(self, **changes) -> TrainerContext:
        workspace = self.folder / "workspace"
        workspace.mkdir(exist_ok=True)
        fields = {
            "client_name": "site-1",
            "mmar": self.mmar,
            "workspace": workspace,
            "train_config": self.config,
            "validation_config": self.validation,
            "variables": self.variables,
            "blueprint": partial(blueprint, catalog()),
        }
        return TrainerContext(**{**fields, **changes})

    def trainer(self, *, keeps_best=False, **arguments) -> MonaiTrainer:
        trainer = MonaiTrainer(device="cpu", **arguments)
        trainer.setup(self.context(keeps_best=keeps_best))
        return trainer

    def validator(self) -> MonaiModelValidator:
        validator = MonaiModelValidator(device="cpu")
        validator.setup(self.context())
        return validator

    def model(self, **arguments) -> Path:
        """Write the declared network's first tensors; arguments replace declared ones."""
        torch.manual_seed(3)
        declared = self.config["train"]["model"]
        declaration = {**declared, "args": {**declared["args"], **arguments}}
        path = self.folder / f"model_{len(list(self.folder.glob('model_*')))}"
        write_state(path, blueprint(catalog(), "model", declaration).build().state_dict())
        return path

    def task(self, number=0, *, state=None, **changes) -> TrainTask:
        here = self.folder / f"task_{len(list(self.folder.glob('task_*')))}"
        (here / "state").mkdir(parents=True)
        (here / "new_state").mkdir()
        paths = {"model": changes.pop("model", None) or self.model(), "update": here / "update"}
        states = {"state": state or here / "state", "new_state": here / "new_state"}
        fields = {"run_number": 1, "round": number, "num_rounds": 5, "seed": 7 + number}
        return TrainTask(**{**fields, **paths, **states, **changes})

    def trained(self, task=None, **arguments):
        """Return the update of a new trainer, and what it said."""
        task = task or self.task()
        trainer = self.trainer(**arguments)
        result = trainer.train(task)
        trainer.close()
        return read_state(task.update), result


@pytest.fixture(autouse=True)
def one_thread():
    """Compute by one thread: on networks this small a second one only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def volumes(tmp_path_factory):
    """Return the folder of an MMAR with data."""
    mmar = tmp_path_factory.mktemp("mmar")
    write_volumes(mmar / "data")
    return mmar


@pytest.fixture
def site(volumes, tmp_path):
    """Return the maker of trainers."""
    return Site(volumes, tmp_path)


@pytest.fixture(scope="module")
def installed():
    return load_plugins().registry


@pytest.fixture
def found(tmp_path, installed):
    """Return a function that gives what is found in the sample once a file of it was edited."""
    archive = Path(shutil.copytree(SAMPLE, tmp_path / "archive"))

    def findings(edit, file="config/config_train.json"):
        path = archive / file
        value = json.loads(path.read_text())
        edit(value)
        path.write_text(json.dumps(value, indent=2))
        report = validate(archive, installed).report
        lines = path.read_text().splitlines()
        for finding in report.findings:
            if finding.file == file and finding.severity == "error":
                assert finding.line, finding
                assert finding.line <= len(lines)
        return [one for one in report.findings if one.severity != "note"]

    return findings


def same(one, other):
    """Return whether two states hold the same tensors, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)
