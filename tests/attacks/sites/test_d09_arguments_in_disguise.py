# SPDX-License-Identifier: Apache-2.0
"""D09 in disguise: a site's file is named by ways round the look at what was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SECRET = "/etc/passwd"
CLIENT, ENVIRONMENT = "config_fed_client.json", "environment.json"


def change(mmar: Path, file: str, how: Any) -> None:
    path = mmar / "config" / file
    value = json.loads(path.read_text()) if path.exists() else {}
    how(value)
    path.write_text(json.dumps(value))


def argument(mmar: Path, value: Any, **variables: Any) -> None:
    change(mmar, CLIENT, lambda v: v["client_trainer"]["args"].update(behaviour=value))
    change(mmar, ENVIRONMENT, lambda v: v.update(variables))


def switched_off_file(mmar: Path) -> None:
    argument(mmar, SECRET)
    change(mmar, CLIENT, lambda v: v.update(disabled=True))


def switched_off_training(mmar: Path) -> None:
    config = {"train": {"disabled": True, "dataset": {"file": SECRET}}, "disabled": True}
    change(mmar, "config_train.json", lambda v: v.update(config))


def deep_variables(mmar: Path) -> None:
    chain = {f"V{n}": f"{{V{n + 1}}}" for n in range(20)}
    argument(mmar, "{V0}", **chain, V20="{E}/etc/passwd", E="")


def exempt_keys(mmar: Path) -> None:
    config = {"mine": {"ssl_x": SECRET, "exclude_vars": SECRET, "servers": [SECRET]}}
    change(mmar, "config_train.json", lambda v: v.update(config))


def path_as_key(mmar: Path) -> None:
    change(mmar, "config_train.json", lambda v: v.update(mine={SECRET: 1}))


def comment_as_argument(mmar: Path) -> None:
    config = {"mine": {"args": {"_root": SECRET}}}
    change(mmar, "config_train.json", lambda v: v.update(config))


def spelled(text: str) -> Any:
    return lambda mmar: argument(mmar, text)


WAYS = {
    "the file switched off": switched_off_file,
    "training switched off": switched_off_training,
    "deep variables": deep_variables,
    "exempt keys": exempt_keys,
    "a path as a key": path_as_key,
    "a comment as an argument": comment_as_argument,
    "an environment variable": spelled("x/$HOME/y"),
    "an invisible character": spelled("\ufeff/etc/passwd"),
    "a space": spelled("a/.. /x"),
    "an encoded separator": spelled("..%2f..%2fetc%2fpasswd"),
    "JSON in a text": spelled('["\\u002fetc/passwd"]'),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_d09_no_disguise_brings_a_sites_file_to_a_component(hospital, way):
    mmar = hospital.mmar(sign=False)
    way(mmar)
    hospital.sign(mmar)
    hospital.refused("site-1", mmar, "PATH_ARGUMENT")


LISTS = {
    "escapes": b'{"\\u0074raining": [{"scan": "x"}]}',
    "another key": b'{"fold_0": [{"scan": "x.nii"}]}',
    "another encoding": '{"training": [{"image": "x"}]}'.encode("utf-16"),
}


@pytest.mark.parametrize("data", LISTS.values(), ids=LISTS.keys())
def test_d09_no_disguise_brings_a_data_list(hospital, data):
    mmar = hospital.mmar(sign=False)
    (mmar / "docs" / "a.txt").write_bytes(data)
    hospital.sign(mmar)
    hospital.refused("site-1", mmar, "DATALIST_NOT_ALLOWED")
