# SPDX-License-Identifier: Apache-2.0
"""The safetensors format, read strictly: a header is data from a stranger.

The profile accepted here is narrower than the format: a header no longer than the
caller allows, no name or key twice, names of letters, digits and ``_ . - /``, known
element types, tensors that lie one behind the other from the first byte of the data
section to the last, and at most 64 strings of metadata. Whatever the safetensors
library writes for such tensors is accepted, padding included.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from mmar_runner.errors import FormatError
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.dtypes import numpy_dtype
from mmar_runner.storage.header import Header, TensorInfo, spans_of
from mmar_runner.storage.model_schema import ModelSchema
from mmar_runner.storage.plain_files import open_plain

__all__ = [
    "LENGTH_BYTES",
    "MAX_HEADER_BYTES",
    "Header",
    "ModelSchema",
    "TensorInfo",
    "encode_header",
    "header_of",
    "header_size",
    "numpy_dtype",
    "parse_header",
    "read_header",
]

#: The bytes in front of the header that hold its length.
LENGTH_BYTES = 8
#: No header is longer, whatever a caller allows.
MAX_HEADER_BYTES = 8 * 1024 * 1024

_ALIGNMENT = 8
_MAX_METADATA = 64
_MAX_RANK = 32  # numpy 1.x stops there
_MAX_TENSOR_BYTES = 1 << 62  # beyond it numpy's own sizes overflow
_NAME = re.compile(r"[A-Za-z0-9_.\-/]{1,256}", re.ASCII)
_TENSOR_KEYS = frozenset({"dtype", "shape", "data_offsets"})
_METADATA_KEY = "__metadata__"
_REMEMBERED_HEADERS = 16
_REMEMBERED_BYTES = 64 * 1024


def header_size(first8: bytes, *, limit: int = MAX_HEADER_BYTES) -> int:
    """Return how many bytes at the file's start `parse_header` needs: 8 + N.

    Args:
        first8: The first 8 bytes of the file.
        limit: The longest header accepted, in bytes, without those 8.

    Raises:
        FormatError: Fewer than 8 bytes, an empty header, or one beyond the limit.
    """
    if len(first8) < LENGTH_BYTES:
        raise FormatError(f"the file has {len(first8)} bytes; a safetensors file begins with 8")
    (length,) = struct.unpack_from("<Q", first8)
    limit = min(limit, MAX_HEADER_BYTES)
    if not 2 <= length <= limit:  # noqa: PLR2004 - "{}" is the shortest header
        raise FormatError(f"the header says it has {length} bytes; accepted are 2 to {limit}")
    return LENGTH_BYTES + int(length)


def parse_header(raw: bytes, *, file_size: int, limit: int = MAX_HEADER_BYTES) -> Header:
    """Read a header and hold it against the profile.

    Args:
        raw: The first 8 + N bytes of the file, as `header_size` says.
        file_size: The size of the whole file in bytes.
        limit: The longest header accepted, in bytes.

    Raises:
        FormatError: What is wrong, in one sentence.
    """
    data_offset = header_size(raw[:LENGTH_BYTES], limit=limit)
    if data_offset > file_size:
        raise FormatError(f"the header ends at byte {data_offset}, the file at {file_size}")
    if len(raw) < data_offset:
        raise FormatError(f"the header has {data_offset} bytes, {len(raw)} are there")
    text = bytes(raw[LENGTH_BYTES:data_offset])
    parse = _parse_remembered if len(text) <= _REMEMBERED_BYTES else _parse
    return parse(text, file_size)


def _parse(text: bytes, file_size: int) -> Header:
    document = _parse_json(text)
    metadata = _check_metadata(document.pop(_METADATA_KEY, {}))
    tensors = [_check_tensor(name, entry) for name, entry in document.items()]
    tensors.sort(key=lambda tensor: (tensor.start, tensor.end))
    data_offset = LENGTH_BYTES + len(text)
    _check_layout(tensors, file_size - data_offset)
    return Header(
        tensors=MappingProxyType({tensor.name: tensor for tensor in tensors}),
        metadata=MappingProxyType(metadata),
        data_offset=data_offset,
        total_bytes=file_size,
        spans=spans_of(tensors),
    )


# The updates of a run have one header, or a few: it is read once, not once an update.
_parse_remembered = lru_cache(maxsize=_REMEMBERED_HEADERS)(_parse)


def read_header(path: Path, *, limit: int = MAX_HEADER_BYTES, links: bool = True) -> Header:
    """Read and check the header of a file.

    Args:
        path: The file.
        limit: No longer header is accepted, in bytes.
        links: Whether a link to a file will do; see `open_plain`.

    Raises:
        FormatError: The file is not of the profile.
        StorageError: The file cannot be read, or is no plain file.
    """
    descriptor = open_plain(path, links=links)
    try:
        return header_of(descriptor, path, limit=limit)
    finally:
        os.close(descriptor)


def header_of(descriptor: int, path: Path, *, limit: int = MAX_HEADER_BYTES) -> Header:
    """Read and check the header of a file that is open.

    Args:
        descriptor: Reads it, from its first byte on.
        path: What sentences call it.
        limit: No longer header is accepted, in bytes.

    Raises:
        FormatError: The file is not of the profile.
        StorageError: The file cannot be read.
    """
    with translated(path), open(descriptor, "rb", buffering=0, closefd=False) as file:
        try:
            first = file.read(LENGTH_BYTES)
            raw = first + file.read(header_size(first, limit=limit) - LENGTH_BYTES)
            return parse_header(raw, file_size=os.fstat(descriptor).st_size, limit=limit)
        except FormatError as error:
            raise FormatError(f"{path}: {error}") from error


def encode_header(
    tensors: Sequence[tuple[str, str, tuple[int, ...]]],
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """Return the first bytes of a file that holds these tensors in this order.

    Args:
        tensors: Name, dtype and shape of each.
        metadata: Strings to store beside them, in this order.

    Returns:
        The length and the JSON header, padded with spaces to a multiple of 8.

    Raises:
        FormatError: The profile would refuse the header.
    """
    document: dict[str, Any] = {}
    if metadata:
        document[_METADATA_KEY] = _check_metadata(dict(metadata))
    offset = 0
    for name, dtype, shape in tensors:
        if name in document:
            raise FormatError(f"tensor {name!r} is there twice")
        end = offset + math.prod(shape) * numpy_dtype(dtype).itemsize
        entry = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        _check_tensor(name, entry)
        document[name] = entry
        offset = end
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    encoded = struct.pack("<Q", len(text)) + text
    header_size(encoded[:LENGTH_BYTES])
    return encoded


def _parse_json(text: bytes) -> dict[str, Any]:
    if not text.startswith(b"{"):
        raise FormatError("the header does not begin with {: this is no safetensors file")
    try:
        return json.loads(  # type: ignore[no-any-return]
            text.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_number,
            parse_float=_refuse_number,
        )
    except RecursionError:
        raise FormatError("the header is nested too deeply") from None
    except ValueError as error:
        raise FormatError(f"the header is not JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise FormatError(f"the header names {_shown(key)} twice")
            seen.add(key)
    return result


def _refuse_number(text: str) -> NoReturn:
    raise FormatError(
        f"the header holds the number {_shown(text)}; only whole numbers belong there"
    )


def _check_metadata(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise FormatError("__metadata__ is not an object")
    if len(value) > _MAX_METADATA:
        raise FormatError(f"__metadata__ has {len(value)} entries; accepted are {_MAX_METADATA}")
    for key, text in value.items():
        if not (_is_text(key) and _is_text(text)):
            raise FormatError(f"__metadata__ entry {_shown(key)} is not a string of characters")
    return value


def _is_text(value: Any) -> bool:
    # A lone surrogate passes JSON but is no character and cannot be written again.
    return isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)


def _check_tensor(name: str, entry: Any) -> TensorInfo:
    if not _NAME.fullmatch(name):
        raise FormatError(
            f"tensor name {_shown(name)} is not 1 to 256 letters, digits or any of _ . - /"
        )
    if not isinstance(entry, dict) or entry.keys() != _TENSOR_KEYS:
        raise FormatError(f"tensor {name!r} does not have dtype, shape and data_offsets alone")
    if not isinstance(entry["dtype"], str):
        raise FormatError(f"tensor {name!r}: dtype is not a string")
    shape = _whole_numbers(entry["shape"], f"tensor {name!r}: shape")
    offsets = _whole_numbers(entry["data_offsets"], f"tensor {name!r}: data_offsets")
    if len(offsets) != 2:  # noqa: PLR2004
        raise FormatError(f"tensor {name!r}: data_offsets has {len(offsets)} numbers, not 2")
    tensor = TensorInfo(name, entry["dtype"], shape, offsets[0], offsets[1])
    _check_size(tensor)
    return tensor


def _check_size(tensor: TensorInfo) -> None:
    try:
        itemsize = tensor.itemsize
    except FormatError as error:
        raise FormatError(f"tensor {tensor.name!r}: {error}") from None
    if len(tensor.shape) > _MAX_RANK:
        raise FormatError(f"tensor {tensor.name!r} has more than {_MAX_RANK} dimensions")
    if math.prod(max(size, 1) for size in tensor.shape) * itemsize > _MAX_TENSOR_BYTES:
        raise FormatError(f"tensor {tensor.name!r}: its shape overflows")
    expected = tensor.count * itemsize
    if tensor.end - tensor.start != expected:
        raise FormatError(
            f"tensor {tensor.name!r}: {tensor.dtype} of shape {list(tensor.shape)} takes "
            f"{expected} bytes, data_offsets give {tensor.end - tensor.start}"
        )


def _check_layout(tensors: Sequence[TensorInfo], data_bytes: int) -> None:
    position = 0
    for tensor in tensors:
        if tensor.start != position:
            what = "a hole" if tensor.start > position else "an overlap"
            raise FormatError(
                f"tensor {tensor.name!r} begins at byte {tensor.start} of the data, "
                f"not at {position}: {what}"
            )
        position = tensor.end
    if position != data_bytes:
        raise FormatError(f"the tensors take {position} bytes, the file holds {data_bytes}")


def _whole_numbers(value: Any, what: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(item) is int and item >= 0 for item in value):
        raise FormatError(f"{what} is not a list of whole numbers")
    return tuple(value)


def _shown(text: Any) -> str:
    shown = ascii(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."  # noqa: PLR2004
