# SPDX-License-Identifier: Apache-2.0
"""Safetensors files that must be refused, one defect each, named after the defect.

Run as a script it writes them beside itself, to try other readers on them:
``python generate.py FOLDER``.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_GENERATORS: dict[str, Callable[[], bytes]] = {}


def hostile_files() -> dict[str, bytes]:
    """Return every file's bytes by the name of its defect."""
    return {name: generate() for name, generate in _GENERATORS.items()}


def _named(generate: Callable[[], bytes]) -> Callable[[], bytes]:
    _GENERATORS[generate.__name__] = generate
    return generate


def build(header: str | bytes | dict[str, Any], data: bytes, *, length: int | None = None) -> bytes:
    """Return a file with that header, whatever it is, and that data."""
    if isinstance(header, dict):
        header = json.dumps(header)
    if isinstance(header, str):
        header = header.encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def tensor(
    start: int, end: int, shape: list[Any] | None = None, dtype: str = "F32"
) -> dict[str, Any]:
    """Return a tensor's entry."""
    shape = [(end - start) // 4] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@_named
def empty_file() -> bytes:
    return b""


@_named
def shorter_than_its_length_field() -> bytes:
    return b"\x10\x00\x00"


@_named
def header_length_zero() -> bytes:
    return struct.pack("<Q", 0)


@_named
def header_length_2_to_63() -> bytes:
    return build({"a": tensor(0, 8)}, bytes(8), length=1 << 63)


@_named
def header_longer_than_the_file() -> bytes:
    return build({"a": tensor(0, 8)}, bytes(8), length=4000)


@_named
def header_longer_than_the_limit() -> bytes:
    return build({"__metadata__": {"a": "x" * 100_000}, "a": tensor(0, 8)}, bytes(8))


@_named
def header_is_no_json() -> bytes:
    return build("{not json}", b"")


@_named
def header_is_no_utf8() -> bytes:
    return build(b'{"\xff\xfe": 1}', b"")


@_named
def header_is_a_list() -> bytes:
    return build("[]", b"")


@_named
def header_begins_with_a_space() -> bytes:
    return build(b" " + json.dumps({"a": tensor(0, 8)}).encode(), bytes(8))


@_named
def header_is_a_pickle() -> bytes:
    return (
        b"\x80\x04\x95\x17\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."
    )


@_named
def header_is_a_zip() -> bytes:
    return b"PK\x03\x04" + bytes(60)


@_named
def nested_100000_deep() -> bytes:
    return build(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"")


@_named
def nested_1000_deep() -> bytes:
    return build(b'{"a":' + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"}", b"")


@_named
def tensor_named_twice() -> bytes:
    one = json.dumps(tensor(0, 8))
    return build(f'{{"a":{one},"a":{one}}}', bytes(8))


@_named
def key_in_a_tensor_twice() -> bytes:
    return build('{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8))


@_named
def metadata_twice() -> bytes:
    return build(
        f'{{"__metadata__":{{}},"__metadata__":{{}},"a":{json.dumps(tensor(0, 8))}}}', bytes(8)
    )


@_named
def metadata_key_twice() -> bytes:
    return build(f'{{"__metadata__":{{"k":"1","k":"2"}},"a":{json.dumps(tensor(0, 8))}}}', bytes(8))


@_named
def metadata_is_a_list() -> bytes:
    return build({"__metadata__": [], "a": tensor(0, 8)}, bytes(8))


@_named
def metadata_value_is_a_number() -> bytes:
    return build({"__metadata__": {"k": 1}, "a": tensor(0, 8)}, bytes(8))


@_named
def metadata_of_65_strings() -> bytes:
    return build({"__metadata__": {str(i): "" for i in range(65)}, "a": tensor(0, 8)}, bytes(8))


@_named
def metadata_with_a_lone_surrogate() -> bytes:
    return build(f'{{"__metadata__":{{"k":"\\ud800"}},"a":{json.dumps(tensor(0, 8))}}}', bytes(8))


@_named
def hole_between_tensors() -> bytes:
    return build({"a": tensor(0, 8), "b": tensor(12, 20)}, bytes(20))


@_named
def hole_at_the_start() -> bytes:
    return build({"a": tensor(4, 12)}, bytes(12))


@_named
def overlapping_tensors() -> bytes:
    return build({"a": tensor(0, 8), "b": tensor(4, 12)}, bytes(12))


@_named
def same_bytes_for_two_tensors() -> bytes:
    return build({"a": tensor(0, 8), "b": tensor(0, 8)}, bytes(8))


@_named
def bytes_after_the_last_tensor() -> bytes:
    return build({"a": tensor(0, 8)}, bytes(9))


@_named
def data_cut_short() -> bytes:
    return build({"a": tensor(0, 8)}, bytes(7))


@_named
def data_without_tensors() -> bytes:
    return build("{}", bytes(8))


@_named
def shape_overflows() -> bytes:
    return build({"a": tensor(0, 8, [1 << 62, 1 << 62, 4])}, bytes(8))


@_named
def shape_overflows_to_its_length() -> bytes:
    return build({"a": tensor(0, 8, [(1 << 62) + 2])}, bytes(8))


@_named
def empty_tensor_of_overflowing_shape() -> bytes:
    return build({"a": tensor(0, 0, [0, 1 << 62, 1 << 62])}, b"")


@_named
def shape_of_digits_without_end() -> bytes:
    return build(f'{{"a":{{"dtype":"F32","shape":[{"9" * 5000}],"data_offsets":[0,8]}}}}', bytes(8))


@_named
def shape_of_33_dimensions() -> bytes:
    return build({"a": tensor(0, 4, [1] * 33)}, bytes(4))


@_named
def shape_other_than_its_bytes() -> bytes:
    return build({"a": tensor(0, 8, [3])}, bytes(8))


@_named
def shape_negative() -> bytes:
    return build({"a": tensor(0, 8, [-1, -2])}, bytes(8))


@_named
def shape_of_fractions() -> bytes:
    return build({"a": tensor(0, 8, [2.0])}, bytes(8))


@_named
def shape_of_booleans() -> bytes:
    return build({"a": tensor(0, 4, [True])}, bytes(4))


@_named
def shape_is_no_list() -> bytes:
    return build('{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}', bytes(8))


@_named
def shape_is_nan() -> bytes:
    return build('{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}', bytes(8))


@_named
def shape_is_infinite() -> bytes:
    return build('{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,8]}}', bytes(8))


@_named
def offsets_negative() -> bytes:
    return build({"a": tensor(-8, 0)}, bytes(8))


@_named
def offsets_backwards() -> bytes:
    return build({"a": tensor(8, 0, [2])}, bytes(8))


@_named
def offsets_of_three_numbers() -> bytes:
    return build('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}', bytes(8))


@_named
def offsets_beyond_the_file() -> bytes:
    return build({"a": tensor(0, 1 << 40)}, bytes(8))


@_named
def dtype_unknown() -> bytes:
    return build({"a": tensor(0, 8, dtype="F128")}, bytes(8))


@_named
def dtype_is_no_string() -> bytes:
    return build('{"a":{"dtype":["F32"],"shape":[2],"data_offsets":[0,8]}}', bytes(8))


@_named
def dtype_missing() -> bytes:
    return build('{"a":{"shape":[2],"data_offsets":[0,8]}}', bytes(8))


@_named
def unknown_key_in_a_tensor() -> bytes:
    return build({"a": {**tensor(0, 8), "strides": [4]}}, bytes(8))


@_named
def tensor_is_a_string() -> bytes:
    return build('{"a":"F32"}', bytes(8))


@_named
def name_climbs_out_of_the_folder() -> bytes:
    return build({"..\\..\\etc": tensor(0, 8)}, bytes(8))


@_named
def name_with_a_newline() -> bytes:
    return build({"a\n": tensor(0, 8)}, bytes(8))


@_named
def name_with_an_escape() -> bytes:
    return build({"\x1b[31ma": tensor(0, 8)}, bytes(8))


@_named
def name_with_a_nul() -> bytes:
    return build({"a\0": tensor(0, 8)}, bytes(8))


@_named
def name_of_letters_that_look_alike() -> bytes:
    return build({"w\u0435ight": tensor(0, 8)}, bytes(8))


@_named
def name_empty() -> bytes:
    return build({"": tensor(0, 8)}, bytes(8))


@_named
def name_of_257_letters() -> bytes:
    return build({"a" * 257: tensor(0, 8)}, bytes(8))


@_named
def name_of_10_megabytes() -> bytes:
    return build({"a" * 10_000_000: tensor(0, 8)}, bytes(8))


@_named
def empty_tensors_300000_of_them() -> bytes:
    return build({f"t{i}": tensor(0, 0) for i in range(300_000)}, b"")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for defect, content in hostile_files().items():
        (folder / f"{defect}.safetensors").write_bytes(content)
