# SPDX-License-Identifier: Apache-2.0
"""Models taken apart and put together again, each wrong in one way."""

from __future__ import annotations

import json
import math
import pickle
import struct
from typing import Any


def opened(model: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", model[:8])
    return json.loads(model[8 : 8 + length]), model[8 + length :]


def closed(header: dict[str, Any], data: bytes) -> bytes:
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw)) + raw + data


def tensors(header: dict[str, Any]) -> list[str]:
    return [name for name in header if name != "__metadata__"]


def without_a_tensor(model: bytes) -> bytes:
    header, data = opened(model)
    last = tensors(header)[-1]
    return closed(
        {k: v for k, v in header.items() if k != last}, data[: header[last]["data_offsets"][0]]
    )


def with_one_more(model: bytes) -> bytes:
    header, data = opened(model)
    extra = {"dtype": "F32", "shape": [1], "data_offsets": [len(data), len(data) + 4]}
    return closed({**header, "zz_extra": extra}, data + bytes(4))


def renamed(model: bytes) -> bytes:
    header, data = opened(model)
    last = tensors(header)[-1]
    return closed({(k + "x" if k == last else k): v for k, v in header.items()}, data)


def reshaped(model: bytes) -> bytes:
    header, data = opened(model)
    last = tensors(header)[-1]
    header[last]["shape"] = [1, *header[last]["shape"]]
    return closed(header, data)


def retyped(model: bytes) -> bytes:
    header, data = opened(model)
    header[tensors(header)[-1]]["dtype"] = "I32"
    return closed(header, data)


def reordered(model: bytes) -> bytes:
    """The same tensors, the last one first: allowed, since names tell them apart."""
    header, data = opened(model)
    *names, last = tensors(header)
    cut = header[last]["data_offsets"][0]
    moved: dict[str, Any] = {last: {**header[last], "data_offsets": [0, len(data) - cut]}}
    for name in names:
        begin, end = header[name]["data_offsets"]
        offsets = [begin + len(data) - cut, end + len(data) - cut]
        moved[name] = {**header[name], "data_offsets": offsets}
    return closed(moved, data[cut:] + data[:cut])


def ending_with(value: float) -> Any:
    return lambda model: model[:-4] + struct.pack("<f", value)


SPOILED = {
    "missing": (without_a_tensor, {"SCHEMA", "FORMAT"}),
    "extra": (with_one_more, {"SCHEMA"}),
    "renamed": (renamed, {"SCHEMA"}),
    "shape": (reshaped, {"SCHEMA"}),
    "dtype": (retyped, {"SCHEMA"}),
    "nan_at_the_end": (ending_with(math.nan), {"NON_FINITE"}),
    "inf_at_the_end": (ending_with(math.inf), {"NON_FINITE"}),
    "minus_inf_at_the_end": (ending_with(-math.inf), {"NON_FINITE"}),
    "pickle": (pickle.dumps, {"FORMAT"}),  # only written, never read
    "zip": (lambda m: b"PK\x03\x04" + m[4:], {"FORMAT"}),
    "zeros": (lambda m: bytes(len(m)), {"FORMAT"}),
}
