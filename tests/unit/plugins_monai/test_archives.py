# SPDX-License-Identifier: Apache-2.0
"""An archive in Clara's form is checked down to its transforms, and each break has a mend."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate

SAMPLE = Path(__file__).resolve().parents[3] / "mmars" / "spheres_unet"
TRAIN = "config/config_train.json"
VALIDATION = "config/config_validation.json"


@pytest.fixture(scope="module")
def catalog():
    return load_plugins().registry


@pytest.fixture
def archive(tmp_path):
    return Path(shutil.copytree(SAMPLE, tmp_path / "archive"))


def _edited(archive, file, edit):
    path = archive / file
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value, indent=2))
    return path.read_text().splitlines()


def _beside_notes(archive, catalog):
    return [f for f in validate(archive, catalog).report.findings if f.severity != "note"]


def test_the_sample_has_no_finding(catalog):
    assert validate(SAMPLE, catalog).report.findings == ()


def _at(value, *path):
    for part in path:
        value = value[part]
    return value


BREAKS = {
    "a misspelt transform": (
        lambda v: _at(v, "train", "pre_transforms", 2).update(name="Spacngd"),
        ("MMAR501", "/train/pre_transforms/2/name", '"name": "Spacngd"'),
        "Did you mean 'Spacingd' or 'Spacing'?",
    ),
    "a wrong argument": (
        lambda v: _at(v, "train", "inferer").update(
            name="SlidingWindowInferer", args={"roi_sise": [16, 16, 16], "roi_size": 16}
        ),
        ("MMAR512", "/train/inferer/args/roi_sise", '"roi_sise": ['),
        "Did you mean 'roi_size'?",
    ),
    "a wrong value": (
        lambda v: _at(v, "train", "dataset", "args").update(cache_rate=1.5),
        ("MMAR514", "/train/dataset/args/cache_rate", '"cache_rate": 1.5'),
        "Write 1 or less.",
    ),
    "a reference that leads nowhere": (
        lambda v: _at(v, "validate", "pre_transforms", 2).update(ref="Spacing"),
        ("MMAR517", "/validate/pre_transforms/2/ref", '"ref": "Spacing"'),
        "Did you mean 'Spacingd'?",
    ),
    "a function that would be run": (
        lambda v: _at(v, "train", "handlers", 3, "args").update(
            output_transform="lambda x: open('/etc/passwd').read()"
        ),
        (
            "MMAR514",
            "/train/handlers/3/args/output_transform",
            '"output_transform": "lambda x: open(\'/etc/passwd\').read()"',
        ),
        "Write a function of one argument that gives items of it",
    ),
    "an unknown metric": (
        lambda v: _at(v, "validate", "metrics", 0).update(name="MeanDise"),
        ("MMAR501", "/validate/metrics/0/name", '"name": "MeanDise"'),
        "Did you mean 'MeanDice'?",
    ),
}


@pytest.mark.parametrize(("edit", "finding", "mend"), BREAKS.values(), ids=BREAKS)
def test_a_break_is_found_alone_in_its_line_with_its_mend(archive, catalog, edit, finding, mend):
    lines = _edited(archive, TRAIN, edit)

    (found,) = _beside_notes(archive, catalog)

    assert (found.code, str(found.severity), found.pointer) == (finding[0], "error", finding[1])
    assert finding[2] in lines[found.line - 1]
    assert mend in (found.hint or "")


def test_a_metric_that_nobody_measures_is_found_at_the_server(archive, catalog):
    def edit(value):
        value["handlers"][0]["args"]["metric"] = "val_mean_dise"

    lines = _edited(archive, "config/config_fed_server.json", edit)

    (found,) = _beside_notes(archive, catalog)

    assert (found.code, found.hint) == ("MMAR628", "Did you mean 'val_mean_dice'?")
    assert "val_mean_dise" in lines[found.line - 1]


def test_a_data_set_is_needed_to_validate(archive, catalog):
    _edited(archive, VALIDATION, lambda v: v.pop("dataset"))

    (found,) = _beside_notes(archive, catalog)

    assert (found.code, found.file) == ("MMAR403", VALIDATION)
    assert "which data a model is measured on" in found.message


def _older(value):
    model = value["train"]["model"]["args"]
    model["dimensions"] = model.pop("spatial_dims")
    discrete = value["train"]["post_transforms"][1]["args"]
    discrete.update(to_onehot=True, n_classes=2)
    value["train"]["pre_transforms"][1] = {
        "name": "AddChanneld",
        "args": {"keys": ["image", "label"]},
    }
    value["validate"]["pre_transforms"][1] = {"ref": "AddChanneld"}


def test_older_arguments_are_notes_and_what_trains_gets_the_new_form(archive, catalog):
    _edited(archive, TRAIN, _older)

    validation = validate(archive, catalog)

    notes = {(f.code, f.pointer) for f in validation.report.findings}
    assert notes == {
        ("MMAR213", "/train/model/args/dimensions"),
        ("MMAR213", "/train/post_transforms/1/args/n_classes"),
        ("MMAR213", "/train/pre_transforms/1/name"),
    }
    for spec in (validation.spec, validation.spec_for("site-2")):
        train = spec.train_config["train"]
        assert train["model"]["args"]["spatial_dims"] == 3
        assert train["post_transforms"][1]["args"]["to_onehot"] == 2
        assert train["pre_transforms"][1] == {
            "name": "EnsureChannelFirstd#AddChanneld",
            "args": {"keys": ["image", "label"], "channel_dim": "no_channel"},
        }


@pytest.mark.parametrize(("given", "taken"), [({}, -1), ({"channel_dim": 0}, 0)])
def test_channels_that_come_last_are_moved_by_what_monai_has_today(archive, catalog, given, taken):
    def change(value):
        args = {"keys": ["image", "label"], **given}
        value["train"]["pre_transforms"][1] = {"name": "AsChannelFirstd", "args": args}
        value["validate"]["pre_transforms"][1] = {"ref": "AsChannelFirstd"}

    _edited(archive, TRAIN, change)

    validation = validate(archive, catalog)

    assert validation.report.errors == ()
    assert validation.spec.train_config["train"]["pre_transforms"][1] == {
        "name": "EnsureChannelFirstd#AsChannelFirstd",
        "args": {"keys": ["image", "label"], "channel_dim": taken},
    }


@pytest.mark.parametrize("name", ["LinearLR", "ExponentialLR"])
def test_arguments_of_monais_schedule_name_its_class_path(archive, catalog, name):
    def change(value):
        args = {"end_lr": 1.0, "num_iter": 10}
        value["train"]["lr_scheduler"] = {"name": name, "args": args}

    _edited(archive, TRAIN, change)

    errors = validate(archive, catalog).report.errors

    assert {"MMAR512"} <= {f.code for f in errors} <= {"MMAR511", "MMAR512"}
    assert all(f"monai.optimizers.{name}" in f.hint for f in errors)


def test_monais_schedule_is_had_by_its_class_path(archive, catalog):
    def change(value):
        args = {"end_lr": 1.0, "num_iter": 10}
        value["train"]["lr_scheduler"] = {"path": "monai.optimizers.LinearLR", "args": args}

    _edited(archive, TRAIN, change)

    assert validate(archive, catalog).report.errors == ()


def test_the_file_stays_as_it_is(archive, catalog):
    _edited(archive, TRAIN, _older)
    before = copy.deepcopy((archive / TRAIN).read_bytes())

    validate(archive, catalog)

    assert (archive / TRAIN).read_bytes() == before
