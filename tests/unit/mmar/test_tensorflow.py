# SPDX-License-Identifier: Apache-2.0
"""A TensorFlow workflow is one finding, and everything else is judged as ever."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.older.tensorflow import MARKS, TENSORFLOW
from mmar_runner.mmar.sources.tensorflow import mark_of

PIPELINE = {"name": "SegmentationImagePipeline", "args": {"data_list_file_path": "{DATA}"}}
TRAIN = {
    "epochs": 1,
    "train": {
        "model": {"name": "Unet", "args": {"nf_enc": "32,64"}},
        "optimizer": {"name": "Adam", "args": "what?"},
        "pre_transforms": [{"name": "LoadNifti"}, {"ref": "nothing"}],
        "image_pipeline": PIPELINE,
    },
    "validate": {"image_pipeline": PIPELINE},
}
CKPT = {"model_loader": {"name": "CheckpointLoader"}, "writers": [{"name": "WriteNifti"}]}


def test_it_is_one_finding_and_nothing_else_is_said_of_it(mmar):
    mmar.train = TRAIN
    mmar.write("config/config_validation_ckpt.json", '{"inferer": {"name": "TFScanWindowInferer"}}')

    found = mmar.only()

    assert (found.code, found.file, found.pointer) == (
        *("MMAR220", "config/config_train.json", "/train/image_pipeline"),
    )
    assert "the data list" in found.hint


def test_a_validation_of_that_time_alone_is_told_too(mmar):
    mmar.write("config/config_validation.json", '{"inferer": {"name": "TFScanWindowInferer"}}')

    found = mmar.only()

    assert (found.code, found.file, found.pointer) == (
        *("MMAR220", "config/config_validation.json", "/inferer"),
    )


@pytest.mark.parametrize(
    ("value", "mark"),
    [
        (TRAIN, ("train", "image_pipeline")),
        (CKPT, ("writers", 0)),
        (
            {"train": {"pre_transforms": [{"name": "SaveAsNifti#A"}]}},
            ("train", "pre_transforms", 0),
        ),
        ({"validate": {"metrics": [{"name": "ComputeAverageDice"}]}}, ("validate", "metrics", 0)),
        ({"train": {"model": {"name": "UNet"}, "pre_transforms": [{"name": "Spacingd"}]}}, None),
        ({"train": {"model": {"name": "SegAhnet"}}}, ("train", "model")),
        ({"train": {"model": {"name": "SegAhnet"}, "dataset": {}}}, None),  # a slip for another
        ({"train": {"model": {"name": 7}, "metrics": 7}, "validate": []}, None),
        ({"image_pipeline": {}}, ("image_pipeline",)),
        ({}, None),
    ],
)
def test_what_shows_it(value, mark):
    assert mark_of(value) == mark


def test_a_trainer_of_ones_own_reads_what_it_likes(mmar):
    mmar.train = TRAIN
    mmar.write("custom/mine.py", "class Trainer: ...\n")
    mmar.client["client_trainer"] = {"path": "mine.Trainer"}
    checked = mmar.check()

    assert "MMAR220" not in {f.code for f in checked.report.findings}
    assert checked.spec.train_config["train"]["image_pipeline"]


def test_where_nobody_reads_it_nothing_is_said(mmar):
    mmar.train = TRAIN
    known = (replace(c, extras={}) if c.name == "Trainer" else c for c in mmar.catalog._components)
    mmar.catalog = type(mmar.catalog)(tuple(known))

    assert mmar.findings() == ()


def test_a_trainer_that_is_not_installed_may_read_it(mmar):
    mmar.train = TRAIN
    mmar.client["client_trainer"] = {"name": "ClientTrainer"}

    assert [f.code for f in mmar.findings()] == ["MMAR501", "MMAR220"]


def test_no_part_of_today_is_a_mark():
    registry = load_plugins().registry
    assert [mark for mark in MARKS if registry.kinds_of(mark)] == []


def test_a_counterpart_is_there():
    """Words beside names are sentences' own: 'with', 'and', 'dataset'."""
    registry = load_plugins().registry
    for names in TENSORFLOW.values():
        for counterpart in names.values():
            for word in re.findall(r"\b[A-Z]\w*[a-z]\w*\b", counterpart):
                known = word in {"PyTorch", "MetaTensor"} or registry.kinds_of(word)
                assert known, f"{counterpart}: nothing is called {word}"
