# SPDX-License-Identifier: Apache-2.0
"""What commands leave is believed as little as a stranger's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mmar_runner.errors import TaskFailedError
from mmar_runner_entry_points.outcome import read_metadata, read_metrics, take_model


def refused(call, *arguments) -> TaskFailedError:
    with pytest.raises(TaskFailedError) as caught:
        call(*arguments)
    assert caught.value.hint
    return caught.value


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def taking(out: Path, model: Path) -> str:
    error = refused(take_model, out, out.with_name("taken"), model, "train")
    assert not out.with_name("taken").exists()
    return error.message


def test_an_update_with_the_models_tensors_is_taken(out, model):
    save_file({"b": np.ones(4), "a": np.zeros((2, 3), np.float32)}, out)
    take_model(out, out.with_name("taken"), model, "train")
    assert sorted(load_file(out.with_name("taken"))) == ["a", "b"]
    assert not out.exists()


def test_no_update_is_said_to_be_missing(out, model):
    assert taking(out, model) == "the entry point train did not write OUT"


@pytest.mark.parametrize("spoil", [Path.mkdir, os.mkfifo, lambda p: p.symlink_to("/etc/passwd")])
def test_what_is_no_file_is_not_opened(spoil, out, model):
    spoil(out)
    assert taking(out, model).endswith("what lies there is no plain file")


@pytest.mark.parametrize("data", [b"", b"\x80\x04K\x01.", b"\xff" * 64])
def test_what_is_no_safetensors_is_said_to_be_none(data, out, model):
    out.write_bytes(data)
    assert "is no safetensors model" in taking(out, model)


def test_an_update_that_ends_too_early_is_refused(out, model):
    out.write_bytes(model.read_bytes()[:-1])
    assert "is no safetensors model" in taking(out, model)


def test_other_tensors_are_named(out, model):
    save_file({"a": np.ones((3, 2), np.float32), "c": np.ones(1)}, out)
    said = taking(out, model)
    assert "b is missing, c is none of the model's, a is F32[3, 2] and not F32[2, 3]" in said


def test_an_initial_model_may_have_any_tensors(out):
    save_file({"mine": np.ones(1)}, out)
    take_model(out, out.with_name("taken"), None, "build")
    assert sorted(load_file(out.with_name("taken"))) == ["mine"]


def test_metadata_is_read_and_what_is_nobodys_is_left_alone(out):
    out.write_text('{"num_examples": 7, "metrics": {"loss": 0.5}, "epochs": 3, "lr": "x"}')
    read = read_metadata(out)
    assert (read.num_examples, read.metrics, read.validation) == (7.0, {"loss": 0.5}, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is missing"),
        ("", "is not JSON"),
        ("[]", "is no JSON object"),
        ("{", "is not JSON"),
        ('{"num_examples": NaN}', "NaN"),
        ('{"num_examples": 1, "num_examples": 2}', "twice"),
        ("{}", "no num_examples above 0: it is None"),
        ('{"num_examples": 0}', "it is 0"),
        ('{"num_examples": -3}', "it is -3"),
        ('{"num_examples": "many"}', "it is 'many'"),
        ('{"num_examples": true}', "it is True"),
        (f'{{"num_examples": 1{"0" * 400}}}', "no num_examples above 0"),
        ('{"num_examples": 1, "metrics": 3}', "metrics in the metadata"),
        ('{"num_examples": 1, "metrics": {"f1": [1]}}', "'f1' is [1]"),
        ('{"num_examples": 1, "x": "' + "y" * (1 << 20) + '"}', "larger than"),
    ],
)
def test_metadata_that_cannot_be_used_is_refused_with_a_mend(text, said, out):
    if text is not None:
        out.write_text(text)
    assert said in refused(read_metadata, out).message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is missing"),
        ('{"accuracy": 1e999}', "1e999"),
        ('{"accuracy": null}', "'accuracy' is None"),
        ('"good"', "no JSON object"),
        ('{"a": ' * 2000 + "1" + "}" * 2000, "nested too deeply"),
    ],
)
def test_metrics_that_cannot_be_used_are_refused_with_a_mend(text, said, out):
    if text is not None:
        out.write_text(text)
    assert said in refused(read_metrics, out).message


def test_metrics_are_numbers_by_name(out):
    out.write_text('{"accuracy": 1, "loss": 0.25}')
    assert read_metrics(out) == {"accuracy": 1.0, "loss": 0.25}
