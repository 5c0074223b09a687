# SPDX-License-Identifier: Apache-2.0
"""What the plugin tells the MMAR validator: a wrong configuration is found before it runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.validation import validate

MMARS = Path(__file__).resolve().parents[3] / "mmars"


@pytest.fixture(scope="module")
def catalog():
    return load_plugins().registry


@pytest.fixture
def broken(tmp_path, catalog):
    """Return a function that changes one file of breast_cancer and validates the copy."""

    def check(file, change):
        folder = tmp_path / "breast_cancer"
        shutil.copytree(MMARS / "breast_cancer", folder)
        path = folder / "config" / file
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content, indent=2))
        findings = validate(folder, catalog).report.findings
        return [f for f in findings if f.severity != "note"]

    return check


def test_a_server_that_validates_builds_no_network_from_the_mmar(broken, tmp_path):
    def change(content):
        content.update(model_validator={"name": "TorchModelValidator"}, validate_every=1)
        (tmp_path / "breast_cancer" / "custom").mkdir()
        (tmp_path / "breast_cancer" / "custom" / "nets.py").write_text("class Net: ...")
        train = tmp_path / "breast_cancer" / "config" / "config_train.json"
        declared = json.loads(train.read_text())
        declared["train"]["model"] = {"path": "nets.Net"}
        train.write_text(json.dumps(declared))

    found = {(f.code, f.file, f.pointer) for f in broken("config_fed_server.json", change)}

    assert ("MMAR625", "config/config_train.json", "/train/model/path") in found
    assert {code for code, *_ in found} <= {"MMAR625", "MMAR623"}


@pytest.mark.parametrize(
    "name", ["breast_cancer", "digits_cnn", "digits_robust", "digits_round_robin", "echo"]
)
def test_samples_are_valid_and_deployable(catalog, name):
    report = validate(MMARS / name, catalog).report
    assert report.valid
    assert report.deployable
    assert not [f for f in report.findings if f.severity != "note"]


@pytest.mark.parametrize(
    ("pointer", "value", "words"),
    [
        ("/train/optimizer/args/momentun", 0.9, "momentun"),
        ("/train/optimizer/args/lr", -1, "-1"),
        ("/train/dataset/args/partition", "test", "test"),
        ("/train/dataloader/args/batch_size", 0, "0"),
        ("/train/loss/name", "BCELogitsLoss", "BCELogitsLoss"),
        ("/validate/metrics/0/name", "Auc", "Auc"),
        ("/train/optimiser", {"name": "SGD"}, "optimiser"),
    ],
)
def test_a_mistake_in_the_training_configuration_is_found(broken, pointer, value, words):
    def change(content):
        *parents, last = pointer.strip("/").split("/")
        for part in parents:
            content = content[int(part) if part.isdecimal() else part]
        content[last] = value

    (finding,) = broken("config_train.json", change)
    assert finding.file == "config/config_train.json"
    assert words in finding.message
    assert finding.pointer.startswith(pointer.rpartition("/")[0])


def test_a_mistake_in_the_network_of_the_persistor_is_found(broken):
    def change(content):
        content["model_persistor"]["args"]["model"]["args"]["hiden"] = [3]

    (finding,) = broken("config_fed_server.json", change)
    assert "hiden" in finding.message


def test_a_validator_has_its_own_file_checked(broken, tmp_path):
    def with_validator(content):
        content["model_validator"] = {"name": "TorchModelValidator"}
        content["validate_every"] = 1
        wrong = tmp_path / "breast_cancer/config/config_validation.json"
        wrong.write_text(wrong.read_text().replace('"Accuracy"', '"Acuracy"'))

    (finding,) = broken("config_fed_server.json", with_validator)
    assert finding.file == "config/config_validation.json"
    assert "Acuracy" in finding.message
