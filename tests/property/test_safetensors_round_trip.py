# SPDX-License-Identifier: Apache-2.0
"""Our files and the safetensors library's are one format, in both directions."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mmar_runner.errors import FormatError, NonFiniteError, SchemaMismatchError
from mmar_runner.storage.dtypes import DTYPE_NAMES, numpy_dtype
from mmar_runner.storage.finite import FiniteScanner
from mmar_runner.storage.safetensors_format import ModelSchema, encode_header, parse_header
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter, sha256_file
from mmar_runner.storage.update_check import UpdateCheck

_NAMES = st.from_regex(r"[A-Za-z0-9_.\-/]{1,40}", fullmatch=True)
_METADATA = st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5)
_NAME_OF = {numpy_dtype(name): name for name in DTYPE_NAMES}
_SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@st.composite
def _arrays(draw: st.DrawFn) -> npt.NDArray[Any]:
    dtype = numpy_dtype(draw(st.sampled_from(DTYPE_NAMES)))
    shape = draw(_SHAPES)
    count = int(np.prod(shape, dtype=int))
    data = draw(st.binary(min_size=count * dtype.itemsize, max_size=count * dtype.itemsize))
    if dtype == np.bool_:
        data = bytes(byte & 1 for byte in data)
    return np.frombuffer(data, dtype).reshape(shape)


_MODELS = st.dictionaries(_NAMES, _arrays(), max_size=6)


def _specs(model: dict[str, npt.NDArray[Any]]) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(name, _NAME_OF[array.dtype], array.shape) for name, array in model.items()]


def _same(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@given(_MODELS, _METADATA)
def test_what_the_library_writes_is_accepted(
    model: dict[str, npt.NDArray[Any]], metadata: dict[str, str]
) -> None:
    # The library (0.8) writes no JSON for no tensors and empty metadata.
    raw = safetensors.numpy.save(model, metadata or None)
    header = parse_header(raw, file_size=len(raw))
    assert header.metadata == metadata
    assert {(i.name, i.dtype, i.shape) for i in header.tensors.values()} == set(_specs(model))
    for name, array in model.items():
        info = header.tensors[name]
        data = raw[header.data_offset + info.start : header.data_offset + info.end]
        assert data == array.tobytes()


@given(_MODELS, _METADATA, st.integers(1, 50))
def test_what_we_write_the_library_reads_and_so_do_we(
    model: dict[str, npt.NDArray[Any]], metadata: dict[str, str], block: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"
        with TensorWriter(path, _specs(model), metadata, durable=False) as writer:
            for name, array in model.items():
                flat = array.reshape(-1)
                for start in range(0, flat.size, block):
                    writer.write(name, flat[start : start + block])
            digest = writer.commit()
        assert digest == sha256_file(path)
        with TensorReader(path) as reader:
            assert all(_same(reader.read(name), array) for name, array in model.items())
            assert list(reader.header.tensors) == list(model)
        with safetensors.safe_open(path, framework="numpy") as theirs:
            assert (theirs.metadata() or {}) == metadata
        read = dict(safetensors.deserialize(path.read_bytes()))
        for name, array in model.items():
            entry = read.pop(name)
            assert (entry["dtype"], tuple(entry["shape"]), bytes(entry["data"])) == (
                _NAME_OF[array.dtype],
                array.shape,
                array.tobytes(),
            )
        assert not read


@given(_MODELS, st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_a_stream_is_judged_alike_however_it_is_cut(
    model: dict[str, npt.NDArray[Any]], cuts: list[int]
) -> None:
    raw = encode_header(_specs(model)) + b"".join(array.tobytes() for array in model.values())
    schema = ModelSchema.from_header(parse_header(raw, file_size=len(raw)))
    with np.errstate(invalid="ignore"):
        finite = all(np.isfinite(a).all() for a in model.values() if a.dtype.kind not in "biu?")

    def stream() -> None:
        check, position = UpdateCheck(schema, len(raw)), 0
        while position < len(raw):
            for cut in cuts:
                check.feed(raw[position : position + cut])
                position += cut

    if finite:
        stream()
    else:
        with pytest.raises(NonFiniteError):
            stream()


@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_noise_is_refused_and_never_more_than_that(noise: bytes, size: int) -> None:
    with pytest.raises(FormatError):
        parse_header(noise, file_size=size)


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_header_is_refused_or_says_something_else(data: st.DataObject) -> None:
    """Flipping any byte never raises anything but our errors, nor reads out of bounds."""
    specs = [("a/b.weight", "F32", (3, 2)), ("c", "I64", ()), ("d", "BF16", (4,))]
    raw = bytearray(encode_header(specs, {"k": "v"}) + bytes(40))
    schema = ModelSchema.from_header(parse_header(bytes(raw), file_size=len(raw)))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 41))] = data.draw(st.integers(0, 255))
    try:
        header = parse_header(bytes(raw), file_size=len(raw))
        schema.check(header)
    except (FormatError, SchemaMismatchError):
        return
    assert max(info.end for info in header.tensors.values()) == 40
    FiniteScanner(header).feed(bytes(raw[header.data_offset :]))
