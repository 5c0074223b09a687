# SPDX-License-Identifier: Apache-2.0
"""Files and data lists that should lie in the MMAR and do not; paths that variables bring."""

from __future__ import annotations

import pytest


def told(mmar):
    return [(f.code, f.pointer, f.message) for f in mmar.findings()]


def test_every_data_list_that_is_missing_is_told(mmar):
    mmar.train["train"] |= {"data_list": "a.json", "other_data_list": "./lists/b.json"}

    assert told(mmar) == [
        ("MMAR621", "/train/data_list", "The data list 'a.json' is not in the MMAR."),
        ("MMAR621", "/train/other_data_list", "The data list 'lists/b.json' is not in the MMAR."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("/data/list.json", "https://example.org/list.json", "s3://bucket/a/list.json"),
        *("C:/data/list.json", "{DATA_ROOT}/list.json", "{}list.json", "a_name", "list.bin"),
    ],
)
def test_a_data_list_that_lies_elsewhere_is_not_missed(mmar, text):
    mmar.train["train"]["data_list"] = text

    assert [found for found in told(mmar) if found[0] == "MMAR621"] == []


def test_a_data_list_outside_is_told_once(mmar):
    mmar.train["train"]["data_list"] = "../list.json"

    assert [code for code, *_ in told(mmar)] == ["MMAR610"]


def test_a_path_that_leaves_by_a_variable_is_told_where_the_variable_is_defined(mmar):
    mmar.environment["ELSEWHERE"] = "../outside"
    mmar.train["train"]["paths"] = ["{ELSEWHERE}/a", "{ELSEWHERE}"]

    found = [(f.file, f.pointer) for f in mmar.findings() if f.code == "MMAR610"]
    assert found == [("config/environment.json", "/ELSEWHERE")]


@pytest.mark.parametrize("side", ["server", "client"])
def test_each_side_misses_its_own_file_alone(mmar, side):
    mmar.server = mmar.client = None

    found = [(f.code, f.file) for f in mmar.findings(side=side)]
    assert found == [("MMAR102", f"config/config_fed_{side}.json")]
