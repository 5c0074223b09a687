# SPDX-License-Identifier: Apache-2.0
"""Targets: tensor files, while they stream in and when they lie on the disk."""

from __future__ import annotations

from hashlib import sha256
from types import MappingProxyType
from typing import Final

from mmar_runner.errors import FormatError
from mmar_runner.storage.model_schema import ModelSchema
from mmar_runner.storage.safetensors_format import encode_header, parse_header
from mmar_runner.storage.spool import Spool
from mmar_runner.storage.tensor_files import TensorReader
from mmar_runner.storage.update_check import UpdateCheck, check_update
from tests.fuzz.target import FindingError, Target, scratch

TENSORS: Final = (("w", "F32", (2, 3)), ("b", "BF16", (3,)), ("n", "I64", ()))
SCHEMA: Final = ModelSchema(
    MappingProxyType({name: (kind, shape) for name, kind, shape in TENSORS})
)
HEADER: Final = (
    *(b'"dtype":"F32"', b'"shape":[', b'"data_offsets":[0,', b'"__metadata__":{', b"F64", b"BF16"),
    *(b"F8_E4M3", b"I64", b"BOOL", b"{", b"}", b"[", b"]", b",", b"0", b"-1", b"1e3", b"NaN"),
    *(
        b"9223372036854775807",
        b"18446744073709551616",
        b"9" * 5000,
        b'"w"',
        b"\\ud800",
        b"\x00" * 8,
    ),
)


def _header(data: bytes) -> None:
    header = parse_header(data, file_size=len(data))
    # What was accepted can be written, and is read again as the same.
    tensors = [(info.name, info.dtype, info.shape) for info in header.tensors.values()]
    again = encode_header(tensors, header.metadata)
    size = len(again) + header.total_bytes - header.data_offset
    if dict(parse_header(again, file_size=size).tensors) != dict(header.tensors):
        raise FindingError("a header that changes when it is written again")


def _update(data: bytes) -> None:
    """Whatever the portions, an update is accepted, or refused, all the same."""
    verdicts = set()
    for portion in (1, 7, 64, len(data) + 1):
        check = UpdateCheck(SCHEMA, len(data))
        try:
            for at in range(0, len(data), portion):
                check.feed(data[at : at + portion])
            verdicts.add("" if check.header else "short")
        except FormatError as error:
            verdicts.add(error.reason)
        except Exception as error:
            verdicts.add(type(error).__name__)
            if not hasattr(error, "reason"):
                raise
    if len(verdicts) > 1:
        raise FindingError(f"the portions decide: {verdicts}")
    check_update(data, SCHEMA)


def _spool(data: bytes) -> None:
    """Half of an update comes, the process dies, the update comes again from where it was."""
    with scratch() as folder:
        spool = Spool(folder)
        half = len(data) // 2
        for begin in (0, None):
            file = spool.open(0, "site-1", "u", len(data), SCHEMA)
            try:
                start = file.offset if begin is None else begin
                file.write(data[start : half if begin == 0 else len(data)])
            finally:
                file.close()
        file = spool.open(0, "site-1", "u", len(data), SCHEMA)
        path = file.commit(sha256(data).hexdigest(), durable=False)
        if path.read_bytes() != data:
            raise FindingError("the spool keeps other bytes than were sent")


def _tensor_file(data: bytes) -> None:
    with scratch() as folder:
        path = folder / "model.safetensors"
        path.write_bytes(data)
        with TensorReader(path) as reader:
            for name, info in reader.header.tensors.items():
                if reader.read(name).shape != info.shape:
                    raise FindingError(f"{name} has another shape")


TARGETS: Final = (
    Target("header", _header, "headers of safetensors files", HEADER),
    Target("update", _update, "updates while their bytes come", HEADER, 600),
    Target("spool", _spool, "updates in the spool, broken off and resumed", HEADER, 600),
    Target("tensor_file", _tensor_file, "model files on the disk", HEADER),
)
