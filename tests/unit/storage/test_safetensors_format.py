# SPDX-License-Identifier: Apache-2.0
"""What the format module accepts and writes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from mmar_runner.errors import FormatError, StorageError
from mmar_runner.storage.safetensors_format import (
    MAX_HEADER_BYTES,
    encode_header,
    header_size,
    parse_header,
    read_header,
)

_TENSORS = [
    ("layer.0/weight", "F32", (3, 2)),
    ("empty", "F64", (0, 5)),
    ("scalar", "BF16", ()),
    ("flags", "BOOL", (3,)),
    ("tiny", "F8_E4M3", (1,)),
]
_DATA_BYTES = 24 + 0 + 2 + 3 + 1


def test_what_is_encoded_is_parsed_in_the_given_order() -> None:
    raw = encode_header(_TENSORS, {"note": "é\n"})
    header = parse_header(raw, file_size=len(raw) + _DATA_BYTES)
    assert [(t.name, t.dtype, t.shape) for t in header.tensors.values()] == _TENSORS
    assert header.metadata == {"note": "é\n"}
    assert header.data_offset == len(raw)
    assert header.total_bytes == len(raw) + _DATA_BYTES


def test_offsets_sizes_and_counts_follow_from_shapes() -> None:
    raw = encode_header(_TENSORS)
    tensors = parse_header(raw, file_size=len(raw) + _DATA_BYTES).tensors
    assert [(t.start, t.end) for t in tensors.values()] == [
        (0, 24),
        (24, 24),
        (24, 26),
        (26, 29),
        (29, 30),
    ]
    assert tensors["scalar"].count == 1
    assert tensors["empty"].count == 0
    assert tensors["layer.0/weight"].itemsize == 4


def test_the_data_section_begins_at_a_multiple_of_eight() -> None:
    for length in range(1, 20):
        assert len(encode_header([("a" * length, "F32", (1,))])) % 8 == 0


def test_tensors_come_in_the_order_of_their_bytes_not_of_the_json() -> None:
    text = (
        b'{"z":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},'
        b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    )
    raw = struct.pack("<Q", len(text)) + text
    assert list(parse_header(raw, file_size=len(raw) + 2).tensors) == ["a", "z"]


def test_a_file_without_tensors_is_a_file() -> None:
    raw = encode_header([])
    assert parse_header(raw, file_size=len(raw)).tensors == {}


def test_header_size_counts_the_length_field() -> None:
    assert header_size(struct.pack("<Q", 16), limit=16) == 24
    with pytest.raises(FormatError, match="accepted are 2 to 15"):
        header_size(struct.pack("<Q", 16), limit=15)


def test_no_caller_can_allow_more_than_the_format_modules_own_limit() -> None:
    with pytest.raises(FormatError):
        header_size(struct.pack("<Q", MAX_HEADER_BYTES + 1), limit=1 << 40)


def test_parsing_wants_the_whole_header() -> None:
    raw = encode_header(_TENSORS)
    with pytest.raises(FormatError, match="are there"):
        parse_header(raw[:-1], file_size=len(raw) + _DATA_BYTES)


@pytest.mark.parametrize(
    "tensors",
    [
        [("a", "F32", (1,)), ("a", "F32", (1,))],
        [("a b", "F32", (1,))],
        [("a", "U16", (1,))],
        [("a", "F32", (-1,))],
    ],
    ids=["twice", "name", "dtype", "shape"],
)
def test_nothing_is_encoded_that_would_not_be_accepted(
    tensors: list[tuple[str, str, tuple[int, ...]]],
) -> None:
    with pytest.raises(FormatError):
        encode_header(tensors)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nothing-here") as caught:
        read_header(tmp_path / "nothing-here")
    assert caught.value.reason == "STORAGE"
