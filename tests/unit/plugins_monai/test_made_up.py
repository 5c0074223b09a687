# SPDX-License-Identifier: Apache-2.0
"""Made-up volumes for a dry run are as large as what the workflow cuts out of them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from mmar_runner.errors import SyntheticDataError
from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner_monai.made_up import batch_shape, with_made_up_volumes
from mmar_runner_monai.parts import Parts

CROP = {"name": "RandCropByPosNegLabeld", "args": {"spatial_size": [16, 24, 8], "num_samples": 3}}
SPACING = {"name": "Spacingd", "args": {"pixdim": [2.0, 2.0, 3.0]}}


def section(key="training", **model):
    return {
        "model": {"name": "UNet", "args": {"spatial_dims": 3, "in_channels": 2, **model}},
        "pre_transforms": [SPACING, CROP],
        "dataset": {
            "name": "Dataset",
            "data_list_file_path": "/data/list.json",
            "data_file_base_dir": "/data",
            "data_list_key": key,
        },
        "dataloader": {"args": {"batch_size": 2}},
    }


def context(tmp_path, train, validation=None, **variables):
    return TrainerContext(
        client_name="site-1",
        mmar=tmp_path,
        workspace=tmp_path / "work",
        train_config={"train": train, "validate": {**train, "dataset": {"ref": "Dataset"}}},
        validation_config=validation or {},
        variables=variables,
        blueprint=lambda *_: None,
    )


def test_every_list_leads_to_files_of_the_size_that_is_cut_out(tmp_path):
    own = {"dataset": section("held_out")["dataset"]}
    told = with_made_up_volumes(context(tmp_path, section(), own))

    dataset = told.train_config["train"]["dataset"]
    assert dataset["name"] == "Dataset"
    listed = json.loads(Path(dataset["data_list_file_path"]).read_text())
    assert {key: len(cases) for key, cases in listed.items()} == {"training": 2, "held_out": 2}
    assert told.validation_config["dataset"]["data_file_base_dir"] == dataset["data_file_base_dir"]
    folder = tmp_path / "work" / "made_up"
    image, label = (nibabel.load(folder / listed["training"][0][k]) for k in ("image", "label"))
    assert image.shape == (20, 28, 12, 2)
    assert image.header.get_zooms()[:3] == (2.0, 2.0, 3.0)
    assert label.shape == (20, 28, 12)
    assert set(np.unique(label.get_fdata())) == {0.0, 1.0}


def test_a_class_stands_in_the_label_s_place_where_images_are_classified(tmp_path):
    told = with_made_up_volumes(context(tmp_path, section(), PROCESSING_TASK="classification"))

    path = told.train_config["train"]["dataset"]["data_list_file_path"]
    assert json.loads(Path(path).read_text())["training"][0] == {
        "image": "image.nii.gz",
        "label": 0,
    }


def test_a_data_set_without_a_list_is_refused(tmp_path):
    train = {**section(), "dataset": {"name": "DecathlonDataset", "args": {}}}

    with pytest.raises(SyntheticDataError, match="'DecathlonDataset' takes its samples"):
        with_made_up_volumes(context(tmp_path, train))


def test_a_batch_holds_the_pieces_of_its_samples(tmp_path):
    train = section()
    told = context(tmp_path, train)

    assert batch_shape(Parts(told, told.train_config), train) == (6, 2, 16, 24, 8)
    assert batch_shape(Parts(told, told.train_config), {**train, "pre_transforms": []}) is None
