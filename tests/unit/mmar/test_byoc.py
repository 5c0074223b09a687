# SPDX-License-Identifier: Apache-2.0
"""What of an MMAR is code and what is data; what its modules take from each other."""

from __future__ import annotations

import pytest

from mmar_runner.mmar.code.byoc import is_data, kind_of
from mmar_runner.security.listing import FileKind

SUFFIXES = [
    *("bmp", "gif", "jpeg", "jpg", "pdf", "png", "svg", "tif", "tiff"),
    *("cfg", "conf", "config", "ini", "json", "jsonl", "toml", "xml", "yaml", "yml"),
    *("csv", "html", "log", "md", "parquet", "rst", "tsv", "txt"),
    *("ckpt", "data", "frozen", "h5", "hdf5", "index", "meta", "onnx", "pb", "pt"),
    *("gz", "nii", "npy", "npz", "safetensors", "ts", "zst", "data-00000-of-00001"),
]
NAMES = [
    *("license", "licence", "notice", "readme", "changelog", "authors", "checkpoint"),
    *(".gitignore", ".gitkeep", ".gitattributes", ".ds_store"),
]
CODE = [
    *("x.py", "x.pyc", "x.so", "x.pth", "x.sh", "x.bat", "x.exe", "x.ipynb", "x.pkl"),
    *("x.data-", "x.data-1-of-", "program", "Makefile"),
]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_data_is_known_by_its_suffix(suffix):
    assert is_data(f"models/x.{suffix}")
    assert is_data(f"models/x.{suffix.upper()}")
    assert kind_of(f"config/x.{suffix}") is FileKind.CONFIG
    assert kind_of(f"custom/x.{suffix}") is FileKind.CODE


@pytest.mark.parametrize("name", NAMES)
def test_some_data_is_known_by_its_name(name):
    assert is_data(f"docs/{name}")
    assert is_data(name.upper())


@pytest.mark.parametrize("file", CODE)
def test_everything_else_is_code(file):
    assert not is_data(file)
    assert kind_of(f"config/{file}") is FileKind.CODE


@pytest.mark.parametrize(("file", "data"), [("run.sh", True), ("run.bat", True), ("run.py", False)])
def test_what_starts_an_mmar_by_hand_is_data(file, data):
    assert is_data(f"commands/{file}") is data
    assert not is_data(f"resources/commands/{file}")


def test_the_classes_of_a_module_are_told_in_order(mmar):
    mmar.write("custom/nets.py", "class Zeta: ...\nclass Mean: ...\nclass Beta: ...\n")
    mmar.client["client_trainer"] = {"path": "nets.Unrelated"}
    (found,) = (f for f in mmar.findings() if f.code == "MMAR509")
    assert (found.message, found.hint) == (
        "custom/nets.py has no 'Unrelated'.",
        "It has: Beta, Mean, Zeta.",
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("from .inner.deep import Thing", None),
        ("from .Xnet import Thing", None),
        ("from .inner.deep import Thimg", "custom/own/inner/deep.py has no 'Thimg'."),
        ("from .inner.gone import Thing", "There is no custom/own/inner/gone.py."),
        ("from .Xgone import Thing", "There is no custom/own/Xgone.py."),
    ],
)
def test_what_a_module_takes_from_another_is_there(mmar, line, message):
    for file in ("own/Xnet.py", "own/inner/__init__.py", "own/inner/deep.py"):
        mmar.write(f"custom/{file}", "class Thing: ...\n")
    mmar.write("custom/own/__init__.py", f"\n{line}\n")
    found = [(f.file, f.line, f.message) for f in mmar.findings() if f.code == "MMAR520"]
    assert found == ([("custom/own/__init__.py", 2, message)] if message else [])


@pytest.mark.parametrize(
    "name", ["mmar_runner", "numpy", "torch", "grpc", "google", "pluggy", "jsonschema", "json"]
)
def test_no_module_has_the_name_of_one_that_is_needed(mmar, name):
    mmar.write(f"custom/{name}.py", "")
    found = [(f.code, f.file) for f in mmar.findings() if f.severity != "note"]
    assert found == [("MMAR510", f"custom/{name}.py")]
