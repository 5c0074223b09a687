# SPDX-License-Identifier: Apache-2.0
"""The MONAI plugin, with a tiny workflow in the form of a Clara archive."""

import json
import shutil
from functools import cache, partial

import nibabel
import numpy as np
import pytest
import torch

from mmar_runner.hooks import load_plugins
from mmar_runner.hooks.components import blueprint, build_component
from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner.testing.contracts import ClientTrainerContract, ModelValidatorContract
from mmar_runner_torch.files import write_state

pytestmark = pytest.mark.timeout(120)  # Importing MONAI alone may take ten seconds.

NETWORK = {
    "name": "UNet",
    "args": {
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 2,
        "channels": [2, 4],
        "strides": [2],
        "norm": "batch",
        "dropout": 0.1,
    },
}
LOADED = [{"name": name, "args": {"keys": ["image", "label"]}} for name in ("LoadImaged",)]
LOADED.append({"name": "EnsureChannelFirstd", "args": {"keys": ["image", "label"]}})
DATA = {"name": "CacheDataset", "data_list_file_path": "list.json", "data_list_key": "training"}
FLIP = {"name": "RandFlipd", "args": {"keys": ["image", "label"], "prob": 0.5}}
CLASSES = {"keys": ["pred", "label"], "argmax": [True, False], "to_onehot": 2}
DICE = {"include_background": False, "output_transform": "lambda x: (x['pred'], x['label'])"}
CONFIG = {
    "train": {
        "loss": {"name": "DiceLoss", "args": {"to_onehot_y": True, "softmax": True}},
        "optimizer": {"name": "Adam", "args": {"lr": 0.01}},
        "model": NETWORK,
        "pre_transforms": [*LOADED, FLIP],
        "dataset": DATA,
        "dataloader": {"name": "DataLoader", "args": {"batch_size": 2, "shuffle": True}},
        "handlers": [{"name": "ValidationHandler", "args": {"interval": 1}}],
        "trainer": {"name": "SupervisedTrainer", "args": {"max_epochs": 1}},
    },
    "validate": {
        "pre_transforms": [{"ref": "LoadImaged"}, {"ref": "EnsureChannelFirstd"}],
        "dataset": DATA,
        "post_transforms": [{"name": "AsDiscreted", "args": CLASSES}],
        "metrics": [{"name": "MeanDice", "log_label": "val_mean_dice", "args": DICE}],
    },
}


@cache
def catalog():
    return load_plugins(allow=["mmar-runner-torch", "mmar-runner-monai"]).registry


@pytest.fixture(autouse=True)
def one_thread():
    """Compute by one thread: on networks this small a second one only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Return a folder with three images and a first model."""
    folder = tmp_path_factory.mktemp("archive")
    drawn = np.random.default_rng(1)
    listed = []
    for number in range(3):
        label = (drawn.random((8, 8)) > 0.5).astype(np.uint8)
        files = {"image": label + drawn.normal(0, 0.1, (8, 8)).astype(np.float32), "label": label}
        listed.append({name: f"{name}_{number}.nii" for name in files})
        for name, values in files.items():
            nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / listed[-1][name])
    (folder / "list.json").write_text(json.dumps({"training": listed}))
    torch.manual_seed(1)
    network = build_component(catalog(), "model", NETWORK)
    write_state(folder / "initial.safetensors", network.state_dict())
    return folder


class UsesTheArchive:
    @pytest.fixture(autouse=True)
    def _with_archive(self, archive):
        self._archive = archive

    def context(self, workspace):
        return TrainerContext(
            client_name="site-1",
            mmar=self._archive,
            workspace=workspace,
            train_config=CONFIG,
            validation_config={},
            variables={},
            blueprint=partial(blueprint, catalog()),
        )

    def model(self, destination):
        shutil.copyfile(self._archive / "initial.safetensors", destination)


class TestMonaiTrainer(UsesTheArchive, ClientTrainerContract):
    def make(self):
        return build_component(catalog(), "client_trainer", {"name": "MonaiTrainer"})


class TestStepsAndSiteTensors(UsesTheArchive, ClientTrainerContract):
    """Iterations in place of epochs, differences, tensors that stay at the site."""

    def make(self):
        arguments = {"steps_aggregation": 3, "send": "weight_diff", "exclude_vars": "running_"}
        return build_component(
            catalog(), "client_trainer", {"name": "ClientTrainer", "args": arguments}
        )


class TestMonaiModelValidator(UsesTheArchive, ModelValidatorContract):
    def make(self):
        return build_component(catalog(), "model_validator", {"name": "MonaiModelValidator"})
