# SPDX-License-Identifier: Apache-2.0
"""Which packages a part needs is said before it runs, and true."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from monai import transforms
from monai.networks import nets

from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate
from mmar_runner_monai.names import TABLES

SAMPLE = Path(__file__).resolve().parents[3] / "mmars" / "spheres_unet"
TRAIN = "config/config_train.json"
KEYS = {"keys": "image"}


@pytest.fixture(scope="module")
def catalog():
    return load_plugins().registry


def _needed(kind, name, project):
    table = json.loads((TABLES / f"{kind}.json").read_text())
    return next(n for n in table[name]["facts"]["packages"] if n["project"] == project)


@pytest.mark.parametrize(
    ("name", "args", "project"),
    [
        ("RemoveSmallObjectsd", KEYS, "scikit-image"),
        ("KeepLargestConnectedComponent", {}, "scikit-image"),
        ("RandTorchVisiond", {**KEYS, "name": "ColorJitter"}, "torchvision"),
        ("LoadImaged", {**KEYS, "reader": "ITKReader"}, "itk"),
        ("LoadImaged", {**KEYS, "reader": "pydicomreader"}, "pydicom"),
        ("LoadImage", {"reader": "NrrdReader"}, "pynrrd"),
    ],
)
def test_a_package_that_is_not_there_is_said_at_its_transform(
    tmp_path, catalog, name, args, project
):
    archive = Path(shutil.copytree(SAMPLE, tmp_path / "archive"))
    config = json.loads((archive / TRAIN).read_text())
    config["train"]["pre_transforms"].append({"name": name, "args": args})
    (archive / TRAIN).write_text(json.dumps(config, indent=2))

    findings = validate(archive, catalog).report.findings
    # A second LoadImaged is one too many for who refers to it, and that is said besides.
    found = [f for f in findings if f.severity != "note" and f.code != "MMAR523"]

    if find_spec(_needed("transform", name, project)["module"]) is not None:
        assert found == []
        return
    (one,) = found
    assert (one.code, one.severity, one.file) == ("MMAR522", "warning", TRAIN)
    assert one.pointer == "/train/pre_transforms/6"
    assert one.hint == f"Install it where it is to run: pip install {project}"


@pytest.mark.parametrize(
    ("kind", "project", "build"),
    [
        (
            ("transform", "LoadImage"),
            "itk",
            lambda: transforms.LoadImage(reader="ITKReader"),
        ),
        (
            ("transform", "TorchVision"),
            "torchvision",
            lambda: transforms.TorchVision("ColorJitter"),
        ),
        (
            ("model", "ViT"),
            "einops",
            lambda: nets.ViT(in_channels=1, img_size=(16, 16, 16), patch_size=(8, 8, 8)),
        ),
        (("model", "MILModel"), "torchvision", lambda: nets.MILModel(2, pretrained=False)),
    ],
)
def test_a_part_cannot_be_built_without_what_is_said(kind, project, build):
    module = _needed(*kind, project)["module"]
    if find_spec(module) is None:
        with pytest.raises(ImportError, match=module):
            build()
    else:
        build()


def test_a_reader_that_is_not_asked_for_needs_nothing(catalog):
    assert validate(SAMPLE, catalog).report.findings == ()
