# SPDX-License-Identifier: Apache-2.0
"""Which texts of a file are paths that leave, and which files are data lists."""

from __future__ import annotations

import json

import pytest

LIST = json.dumps({"training": [{"image": "a.nii", "label": "b.nii"}]})


def _told(mmar, code):
    findings = mmar.findings()
    return [(f.file.rpartition("/")[2], f.pointer) for f in findings if f.code == code]


@pytest.mark.parametrize(
    ("text", "leaves"),
    [
        ("..", True),
        ("../x", True),
        ("a/../..", True),
        ("a/../../x", True),
        ("..\\x", True),
        ("a/../x", False),
        ("a..b", False),
        ("..a/x", False),
        ("a/..", False),
    ],
)
def test_a_path_that_leaves_is_told(mmar, text, leaves):
    mmar.train["train"]["somewhere"] = text
    expected = [("config_train.json", "/train/somewhere")] if leaves else []
    assert _told(mmar, "MMAR610") == expected


@pytest.mark.parametrize(
    ("key", "told"),
    [("#old", False), ("_old", False), ("//", False), ("comment", False), ("old#", True)],
)
def test_comments_hold_no_paths(mmar, key, told):
    mmar.train["train"][key] = "../../outside"
    assert bool(_told(mmar, "MMAR610")) is told


def test_a_file_is_a_data_list_by_the_key_that_names_it(mmar):
    mmar.write("resources/labels.json", "{}")
    mmar.train["train"]["labels"] = "{MMAR_ROOT}/resources/labels.json"
    mmar.environment["MMAR_ROOT"] = "."
    assert _told(mmar, "MMAR615") == []
    mmar.train["train"]["data_list_file_path"] = "resources/labels.json"
    mmar.train["train"]["dataset_json"] = "resources/labels.json"
    checked = mmar.check()
    assert [f.pointer for f in checked.report.findings if f.code == "MMAR615"] == [
        "/train/data_list_file_path"
    ]
    assert checked.report.custom_datalist


def test_a_file_is_a_data_list_by_what_it_holds(mmar):
    mmar.write("resources/labels.json", LIST)
    checked = mmar.check()
    assert [(f.code, f.file) for f in checked.report.findings if f.code == "MMAR615"] == [
        ("MMAR615", "resources/labels.json")
    ]
    assert checked.report.custom_datalist


def test_a_training_file_with_samples_is_a_data_list_told_once(mmar):
    mmar.train["training"] = json.loads(LIST)["training"]
    checked = mmar.check()
    assert [(f.file, f.pointer) for f in checked.report.findings if f.code == "MMAR615"] == [
        ("config/config_train.json", "")
    ]
    assert checked.report.custom_datalist


def test_a_list_is_told_whatever_blanks_and_letters_its_key_has(mmar):
    mmar.write("resources/labels.json", LIST.replace("training", " Training "))
    assert _told(mmar, "MMAR615") == [("labels.json", "")]
