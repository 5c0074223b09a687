# SPDX-License-Identifier: Apache-2.0
"""The schema every update is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mmar_runner.errors import SchemaMismatchError
from mmar_runner.storage.model_schema import ModelSchema
from mmar_runner.storage.safetensors_format import encode_header, parse_header

if TYPE_CHECKING:
    from mmar_runner.storage.header import Header

_TENSORS = [("w", "F32", (4, 2)), ("b", "F64", (2,)), ("n", "I64", ())]


def _header(tensors: list[tuple[str, str, tuple[int, ...]]], data_bytes: int) -> Header:
    raw = encode_header(tensors)
    return parse_header(raw, file_size=len(raw) + data_bytes)


_SCHEMA = ModelSchema.from_header(_header(_TENSORS, 56))


def test_the_order_of_tensors_does_not_matter() -> None:
    reordered = _header(_TENSORS[::-1], 56)
    _SCHEMA.check(reordered)
    assert ModelSchema.from_header(reordered).digest() == _SCHEMA.digest()


def test_it_counts_its_bytes_and_bounds_its_header() -> None:
    assert _SCHEMA.data_bytes == 32 + 16 + 8
    assert _SCHEMA.header_limit == 1024 + 3 * 512
    assert list(_SCHEMA) == _TENSORS


@pytest.mark.parametrize(
    ("tensors", "data_bytes", "told"),
    [
        ([("w", "F32", (4, 2)), ("b", "F64", (2,))], 48, "'n' is missing; expected I64 []"),
        ([*_TENSORS, ("x", "U8", (1,))], 57, "'x' is not one of the model's"),
        (
            [("w", "F32", (2, 4)), *_TENSORS[1:]],
            56,
            "'w': expected F32 [4, 2], got F32 [2, 4]",
        ),
        ([("w", "F64", (4, 2)), *_TENSORS[1:]], 88, "'w': expected F32 [4, 2], got F64 [4, 2]"),
        ([("W", "F32", (4, 2)), *_TENSORS[1:]], 56, "'w' is missing"),
    ],
    ids=["missing", "extra", "shape", "dtype", "renamed"],
)
def test_a_difference_is_named(
    tensors: list[tuple[str, str, tuple[int, ...]]], data_bytes: int, told: str
) -> None:
    header = _header(tensors, data_bytes)
    with pytest.raises(SchemaMismatchError) as caught:
        _SCHEMA.check(header)
    assert told in caught.value.message
    assert caught.value.reason == "SCHEMA"
    assert ModelSchema.from_header(header).digest() != _SCHEMA.digest()
