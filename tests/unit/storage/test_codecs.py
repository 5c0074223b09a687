# SPDX-License-Identifier: Apache-2.0
"""Tensors that travel in another element type: what is encoded, and what reads it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from mmar_runner.errors import SchemaMismatchError, StorageError
from mmar_runner.storage.codec_names import UPDATE_CODECS
from mmar_runner.storage.codecs import CODECS
from mmar_runner.storage.coded_reader import CodedReader
from mmar_runner.storage.encoding import encode_file
from mmar_runner.storage.model_schema import ModelSchema
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter

MODEL = ModelSchema(
    {"w": ("F32", (3, 50_000)), "d": ("F64", (2,)), "n": ("I64", ()), "h": ("F16", (2,))}
)


def written(path: Path, schema: ModelSchema, values: dict[str, Any]) -> Path:
    """Write a file of a schema."""
    with TensorWriter(path, list(schema)) as writer:
        for name, value in values.items():
            writer.write(name, value)
        writer.commit()
    return path


def test_every_name_has_a_codec() -> None:
    assert tuple(CODECS) == UPDATE_CODECS


def test_only_floating_tensors_that_are_wider_travel_otherwise() -> None:
    assert dict(MODEL.encoded(CODECS["bf16"]).tensors) == {
        "w": ("BF16", (3, 50_000)),
        "d": ("BF16", (2,)),
        "n": ("I64", ()),
        "h": ("F16", (2,)),
    }
    assert MODEL.encoded(CODECS["none"]) == MODEL


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_elements_are_rounded_to_the_nearest_and_ties_to_even(name: str) -> None:
    codec = CODECS[name]
    step = {"fp16": 2.0**-10, "bf16": 2.0**-7}[name]  # between neighbours above 1
    given = np.array([1, 1 + step / 2, 1 + 3 * step / 2, 1 + 0.51 * step, -3], "<f4")
    encoded = codec.encode(given)
    assert codec.decode(encoded, given.dtype).tolist() == [1, 1, 1 + 2 * step, 1 + step, -3]


def test_what_is_too_much_for_fp16_becomes_an_infinity_and_not_for_bf16() -> None:
    given = np.array([1e5], "<f4")
    assert np.isinf(CODECS["fp16"].encode(given)).all()
    assert np.isfinite(CODECS["bf16"].encode(given).astype("<f4")).all()


@pytest.mark.parametrize("block", [1, 7, 70_000])
def test_a_reader_gives_the_models_dtype_or_the_wires(tmp_path: Path, block: int) -> None:
    codec, rng = CODECS["bf16"], np.random.default_rng(1)
    values = {
        "w": rng.normal(size=150_000).astype("<f4"),
        "d": np.array([1.5, -2.0]),
        "n": np.array([7]),
        "h": np.array([1, 2], "<f2"),
    }
    coded = {name: codec.encode(value) for name, value in values.items()}
    path = written(tmp_path / "u.safetensors", MODEL.encoded(codec), coded)
    with CodedReader(TensorReader(path), codec) as reader:
        for dtype in (np.dtype("<f4"), np.dtype(ml_dtypes.bfloat16)):
            out = np.empty(block, dtype)
            reader.read_into("w", 11, out)
            assert (out == coded["w"][11 : 11 + block].astype(dtype)).all()
        doubles, count = np.empty(2), np.empty(1, "<i8")
        reader.read_into("d", 0, doubles)
        reader.read_into("n", 0, count)
        assert (doubles.tolist(), count.tolist()) == ([1.5, -2.0], [7])


def test_a_reader_refuses_other_dtypes_tensors_and_places(tmp_path: Path) -> None:
    codec = CODECS["fp16"]
    schema = ModelSchema({"w": ("F32", (4,))})
    path = written(tmp_path / "u", schema.encoded(codec), {"w": np.zeros(4, "<f2")})
    with CodedReader(TensorReader(path), codec) as reader:
        for name, start, dtype in (("w", 0, "<i4"), ("v", 0, "<f4"), ("w", 2, "<f4")):
            with pytest.raises(SchemaMismatchError):
                reader.read_into(name, start, np.empty(3, dtype))


def test_a_file_is_encoded_in_blocks_and_its_loss_is_one_number(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    values = {
        "w": rng.normal(size=150_000).astype("<f4"),
        "d": np.array([1.0, 2.0]),
        "n": np.array([7]),
        "h": np.array([1, 2], "<f2"),
    }
    source = written(tmp_path / "u", MODEL, values)
    lost = encode_file(source, tmp_path / "w", CODECS["bf16"])
    difference = values["w"].astype("<f8") - CODECS["bf16"].encode(values["w"]).astype("<f8")
    together = np.concatenate([values["w"].astype("<f8"), values["d"]])
    assert lost == pytest.approx(np.linalg.norm(difference) / np.linalg.norm(together))
    assert 0.001 < lost < 0.002
    with TensorReader(tmp_path / "w") as reader:
        MODEL.encoded(CODECS["bf16"]).check(reader.header)
        assert reader.read("n").tolist() == 7
    assert encode_file(source, tmp_path / "v", CODECS["none"]) == 0
    assert (tmp_path / "v").read_bytes() == source.read_bytes()


def test_what_a_codec_cannot_carry_is_said_and_leaves_no_file(tmp_path: Path) -> None:
    schema = ModelSchema({"w": ("F32", (2,))})
    source = written(tmp_path / "u", schema, {"w": np.array([1, 70_000], "<f4")})
    with pytest.raises(StorageError, match="'w' holds 70000, more than the codec fp16") as error:
        encode_file(source, tmp_path / "w", CODECS["fp16"])
    assert (error.value.reason, "bf16" in str(error.value.hint)) == ("CODEC", True)
    assert not (tmp_path / "w").exists()
    zeros = written(tmp_path / "z", schema, {"w": np.zeros(2, "<f4")})
    assert encode_file(zeros, tmp_path / "w", CODECS["fp16"]) == 0
