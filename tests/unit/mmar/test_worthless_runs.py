# SPDX-License-Identifier: Apache-2.0
"""What runs and is worth nothing, what certainly fails, and what only looks like that."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest

from mmar_runner.hooks import load_plugins
from mmar_runner.mmar.code.module_source import parse_module
from mmar_runner.mmar.codes import Severity
from mmar_runner.mmar.validation import validate

GOOD = Path(__file__).parents[2] / "broken_mmars" / "good_torch"
SERVER, TRAIN = "config/config_fed_server.json", "config/config_train.json"
NETWORK = {"0.weight": [16, 30], "0.bias": [16], "2.weight": [1, 16], "2.bias": [1]}


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(GOOD, tmp_path / "job")
    return tmp_path / "job"


def change(folder, file, edit):
    value = json.loads((folder / file).read_text("utf-8"))
    edit(value)
    (folder / file).write_text(json.dumps(value))


def found(folder):
    findings = validate(folder, load_plugins().registry).report.findings
    return [(f.code, f.severity, f.pointer) for f in findings]


def checkpoint(folder, shapes, *, more=b"", dtype="F32"):
    header, end = {}, 0
    for name, shape in shapes.items():
        begin = end
        end += 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    (folder / "models").mkdir()
    data = struct.pack("<Q", len(text)) + text + bytes(end) + more
    (folder / "models" / "start.safetensors").write_bytes(data)
    change(folder, SERVER, lambda server: server.update(ckpt_preload_path=START))


START = "models/start.safetensors"


def test_a_checkpoint_of_the_declared_network_has_no_finding(folder):
    checkpoint(folder, NETWORK)

    assert found(folder) == []


def test_a_checkpoint_may_hold_a_part_of_the_network(folder):
    checkpoint(folder, {"2.bias": [1]})

    assert found(folder) == []


def test_a_checkpoint_of_other_numbers_does_not_fit(folder):
    checkpoint(folder, NETWORK, dtype="I32")

    assert found(folder) == [("MMAR640", Severity.ERROR, "/ckpt_preload_path")]


def test_a_checkpoint_that_goes_on_is_damaged(folder):
    checkpoint(folder, NETWORK, more=b"x")

    assert found(folder) == [("MMAR631", Severity.ERROR, "/ckpt_preload_path")]


@pytest.mark.parametrize(
    "stated",
    [
        1,
        {"dtype": "F32", "shape": [16, 30], "data_offsets": [0]},
        {"dtype": "F32", "shape": [16, 30], "data_offsets": [0, 10**4000]},
        {"dtype": "F32", "shape": [16, 30], "data_offsets": [0, -1]},
        {"dtype": "F32", "shape": [16, 30], "data_offsets": [0, True]},
    ],
)
def test_a_checkpoint_that_says_nonsense_of_itself_ends_no_check(folder, stated):
    text = json.dumps({"0.weight": stated}).encode()
    (folder / "models").mkdir()
    (folder / START).write_bytes(struct.pack("<Q", len(text)) + text)
    change(folder, SERVER, lambda server: server.update(ckpt_preload_path=START))

    assert found(folder) == []


def test_a_shape_of_any_length_is_told_shortly(folder):
    checkpoint(folder, {"0.weight": [16, 30]})
    text = json.dumps({"0.weight": {"dtype": "F32" * 999, "shape": [1] * 9999}}).encode()
    (folder / START).write_bytes(struct.pack("<Q", len(text)) + text)

    (finding,) = validate(folder, load_plugins().registry).report.findings

    assert finding.code == "MMAR640"
    assert len(finding.message) < 500


def test_an_absolute_checkpoint_that_is_there_has_no_finding(folder, tmp_path):
    checkpoint(folder, NETWORK)
    shutil.move(folder / "models", tmp_path / "outside")
    path = str(tmp_path / "outside" / "start.safetensors")
    change(folder, SERVER, lambda server: server.update(ckpt_preload_path=path))

    assert found(folder) == []


def _hidden(value):
    value["model_persistor"]["args"]["model"]["args"]["hidden"] = [8]


def test_models_that_differ_are_a_warning_where_a_checkpoint_stands_in(folder):
    checkpoint(folder, NETWORK)
    change(folder, SERVER, _hidden)

    assert found(folder) == [("MMAR623", Severity.WARNING, "/train/model")]


def test_models_that_differ_are_a_warning_where_not_all_is_shared(folder):
    def edit(server):
        _hidden(server)
        server["model_persistor"]["args"]["exclude_vars"] = "^0"

    change(folder, SERVER, edit)

    assert found(folder) == [("MMAR623", Severity.WARNING, "/train/model")]


def test_a_dropout_of_one_side_only_moves_the_tensors(folder):
    args = {"in_features": 30, "out_features": 1, "dropout": 0.5}
    change(folder, TRAIN, lambda train: train["train"]["model"].update(args=args))

    assert found(folder) == [("MMAR623", Severity.ERROR, "/train/model/args/dropout")]


def test_models_of_two_names_are_an_error_at_the_trained_one(folder):
    model = {"name": "SmallConvNet"}
    change(folder, SERVER, lambda server: server["model_persistor"].update(args={"model": model}))

    assert found(folder) == [("MMAR623", Severity.ERROR, "/train/model")]


def test_an_aggregator_may_not_exclude_everything_either(folder):
    args = {"exclude_vars": ".+"}
    change(folder, SERVER, lambda server: server["aggregator"].update(args=args))

    assert found(folder) == [("MMAR641", Severity.WARNING, "/aggregator/args/exclude_vars")]


@pytest.mark.parametrize("text", ["bn", "dummy", None])
def test_what_excludes_something_or_nothing_is_right(folder, text):
    change(folder, SERVER, lambda server: server.update(exclude_vars=text))

    assert found(folder) == []


def test_defaults_that_are_written_out_do_not_make_other_data(folder):
    def edit(train):
        train["train"]["dataset"]["args"] = {"site_index": 1}
        train["validate"]["dataset"]["args"] = {"site_index": 1, "partition": "train"}

    change(folder, TRAIN, edit)

    assert found(folder) == [("MMAR642", Severity.WARNING, "/validate/dataset")]


@pytest.mark.parametrize(
    ("name", "text", "holds"),
    [
        ("key.txt", b"-----BEGIN RSA PRIVATE KEY-----\r\nx\r\n", True),
        ("key.md", b"certificates\n-----BEGIN ENCRYPTED PRIVATE KEY-----\nx", True),
        ("cert.txt", b"-----BEGIN CERTIFICATE-----\nx", False),
        ("note.md", b"A key begins with -----BEGIN PRIVATE KEY-----, as everybody knows.", False),
    ],
)
def test_private_keys_are_told_by_what_is_in_them(folder, name, text, holds):
    (folder / "resources" / name).write_bytes(text)

    assert found(folder) == ([("MMAR645", Severity.WARNING, "")] if holds else [])


@pytest.mark.parametrize(
    "name", ["config_fed_server - Copy.json", "Copy of environment.json", "config_train_copy2.json"]
)
def test_copies_have_many_names(folder, name):
    (folder / "config" / "environment.json").write_text("{}")
    (folder / "config" / name).write_text("{}")

    assert found(folder) == [("MMAR109", Severity.WARNING, "")]


@pytest.mark.parametrize(
    "name", ["config_mine (1).json", "config_train_v2.json", "config_copy.json"]
)
def test_a_file_of_another_name_is_no_copy(folder, name):
    (folder / "config" / name).write_text("{}")

    assert found(folder) == []


@pytest.mark.parametrize(
    ("head", "plain"),
    [
        ("class A:", True),
        ("class A(object):", True),
        ("class A(Base):", False),
        ("class A(metaclass=M):", False),
        ("@more\nclass A:", False),
    ],
)
def test_a_plain_class_has_what_its_body_defines(head, plain):
    assert parse_module(f"{head}\n    x = 1".encode()).classes["A"].plain == plain


def test_the_deep_check_is_named_only_where_nothing_else_tells(folder):
    def edit(server):
        _hidden(server)
        server["model_persistor"]["args"]["exclude_vars"] = "^0"

    registry = load_plugins().registry
    change(folder, SERVER, _hidden)
    (known,) = validate(folder, registry).report.errors
    change(folder, SERVER, edit)
    (unknown,) = [f for f in validate(folder, registry).report.findings if f.code == "MMAR623"]
    assert ("--deep" in known.hint, "--deep" in unknown.hint) == (False, True)
