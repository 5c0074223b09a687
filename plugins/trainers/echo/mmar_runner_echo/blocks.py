# SPDX-License-Identifier: Apache-2.0
"""Reading, changing and writing safetensors files, one block at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mmar_runner.errors import FormatError
from mmar_runner.storage.safetensors_format import encode_header, numpy_dtype, read_header

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from mmar_runner.storage.safetensors_format import TensorInfo

#: Bytes that are read, changed and written at a time: few calls, and it stays in cache.
BLOCK_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to floating-point elements.

    Attributes:
        constant: Added to each.
        noise: Standard deviation of what is added besides.
        seed: Where that noise comes from.
        nan: True if one element becomes NaN.
    """

    constant: float
    noise: float = 0.0
    seed: int = 0
    nan: bool = False


def transform(source: Path, destination: Path, change: Change) -> None:
    """Write the tensors of ``source``, changed, to ``destination``.

    A destination that exists is overwritten in place: its pages are there already.

    Raises:
        FormatError: The source is not a safetensors file, or ends too early.
    """
    header = read_header(source)
    tensors = [(t.name, t.dtype, t.shape) for t in header.tensors.values()]
    rng = np.random.default_rng(change.seed)
    nan_is_due = change.nan
    with writing(destination) as output, source.open("rb", buffering=0) as file:
        write_all(output, memoryview(encode_header(tensors)))
        file.seek(header.data_offset)
        for tensor in header.tensors.values():
            for block in _blocks(file.fileno(), tensor):
                if _is_float(block.dtype):
                    _change(block, change, rng)
                    if nan_is_due:
                        block[0] = np.nan
                        nan_is_due = False
                write_all(output, block.view(np.uint8).data)


def first_value(source: Path) -> float:
    """Return the first element of a file's first tensor.

    Raises:
        FormatError: The source is not a safetensors file, or holds no element.
    """
    header = read_header(source)
    tensor = next(iter(header.tensors.values()), None)
    if tensor is None or not tensor.count:
        raise FormatError(f"{source} holds no element")
    with source.open("rb") as file:
        file.seek(header.data_offset)
        return float(np.frombuffer(file.read(tensor.itemsize), numpy_dtype(tensor.dtype))[0])


@contextmanager
def writing(path: Path) -> Iterator[int]:
    """Open a file to be overwritten from its beginning and cut behind what was written."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield fd
        os.ftruncate(fd, os.lseek(fd, 0, os.SEEK_CUR))
    finally:
        os.close(fd)


def write_all(fd: int, data: memoryview) -> None:
    """Write all of ``data``, however many calls it takes."""
    while data:
        data = data[os.write(fd, data) :]


def _blocks(fd: int, tensor: TensorInfo) -> Iterator[npt.NDArray[Any]]:
    buffer = np.empty(max(BLOCK_BYTES // tensor.itemsize, 1), numpy_dtype(tensor.dtype))
    for begin in range(0, tensor.count, buffer.size):
        block = buffer[: tensor.count - begin]
        _read_into(fd, block.view(np.uint8).data)
        yield block


def _read_into(fd: int, view: memoryview) -> None:
    while view:
        count = os.readv(fd, [view])
        if not count:
            raise FormatError("the file ended in the middle of a tensor")
        view = view[count:]


def _change(block: npt.NDArray[Any], change: Change, rng: np.random.Generator) -> None:
    np.add(block, block.dtype.type(change.constant), out=block)
    if change.noise:
        drawn = rng.standard_normal(block.size, dtype=np.float32) * np.float32(change.noise)
        np.add(block, drawn.astype(block.dtype), out=block)


def _is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "fV"  # bf16 and fp8 are of kind V
