# SPDX-License-Identifier: Apache-2.0
"""A site's data list is read whole, or what is wrong with it is said with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.client_trainer import TrainerContext
from mmar_runner_monai.data_list import read_data_list


@pytest.fixture
def read(tmp_path):
    """Return a function that reads what a list holds; two files are there."""
    for name in ("a.nii", "b.nii"):
        (tmp_path / name).touch()

    def reading(content, *, variables=None, **declared):
        (tmp_path / "list.json").write_text(
            content if isinstance(content, str) else json.dumps(content)
        )
        context = TrainerContext("site-1", tmp_path, tmp_path, {}, {}, variables or {}, lambda: 0)
        fields = {"data_list_file_path": "list.json", "data_list_key": "training"}
        return read_data_list({**fields, **declared}, context)

    return reading


@pytest.mark.parametrize("key", [None, ""])
def test_a_list_whose_key_is_not_named_is_not_guessed(read, key) -> None:
    with pytest.raises(TaskFailedError, match="names no 'data_list_key'"):
        read({"training": [{"image": "a.nii", "label": "b.nii"}]}, data_list_key=key)


def test_files_are_of_the_base_folder(read, tmp_path) -> None:
    (found,) = read({"training": [{"image": "./a.nii", "label": "b.nii", "fold": 1}]})
    assert Path(found["image"]) == tmp_path / "a.nii"
    assert Path(found["label"]) == tmp_path / "b.nii"
    assert found["fold"] == 1
    below = tmp_path / "below"
    below.mkdir()
    (below / "c.nii").touch()
    listed = {"training": [{"image": "c.nii", "label": str(tmp_path / "a.nii")}]}
    (found,) = read(listed, data_file_base_dir="below")
    assert Path(found["image"]) == below / "c.nii"


def test_several_files_make_an_image_and_a_file_alone_is_one(read, tmp_path) -> None:
    found = read({"training": [{"image": ["a.nii", "b.nii"], "label": [0, 1]}, "a.nii"]})
    assert found[0] == {
        "image": [str(tmp_path / "a.nii"), str(tmp_path / "b.nii")],
        "label": [0, 1],
    }
    assert found[1] == {"image": str(tmp_path / "a.nii")}


def test_a_class_is_no_file(read) -> None:
    variables = {"PROCESSING_TASK": "classification"}
    (found,) = read({"training": [{"image": "a.nii", "label": "cat"}]}, variables=variables)
    assert found["label"] == "cat"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"training": [{"image": "a.nii"}, {"image": "x.nii"}]}, r"training\[1\]\.image: .*x\.nii"),
        (
            {"training": [{"image": "a.nii", "label": ["b.nii", "y.nii", "z.nii"]}]},
            r"training\[0\]\.label: .*y\.nii is missing, and 1 more files",
        ),
        ({"validation": [{"image": "a.nii"}]}, "has no 'training'"),
        ({"training": []}, "'training' .* is empty"),
        ({"training": 3}, "'training' .* is no list"),
        ({"training": [3]}, r"training\[0\] is a int"),
        ([], "is no JSON object"),
        ("{", "is no JSON"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(read, content, said) -> None:
    with pytest.raises(TaskFailedError, match=said):
        read(content)


def test_lists_that_are_there_are_named(read) -> None:
    with pytest.raises(TaskFailedError) as raised:
        read({"validation": [], "test": []})
    assert "'validation', 'test'" in raised.value.hint


@pytest.mark.parametrize("path", ["nowhere.json", "", None])
def test_a_list_that_is_not_there_is_said(read, path) -> None:
    with pytest.raises(TaskFailedError, match=r"cannot be read|names no"):
        read({}, data_list_file_path=path)
