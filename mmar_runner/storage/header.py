# SPDX-License-Identifier: Apache-2.0
"""What a safetensors header says, as values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mmar_runner.storage.dtypes import numpy_dtype


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a file.

    Attributes:
        name: The tensor's name.
        dtype: Its element type as the format spells it, such as ``F32``.
        shape: Its dimensions; empty for a scalar.
        start: Its first byte, counted from the beginning of the data section.
        end: One past its last byte, counted likewise.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def itemsize(self) -> int:
        """Return the bytes of one element."""
        return numpy_dtype(self.dtype).itemsize

    @property
    def count(self) -> int:
        """Return the number of elements; 1 for a scalar."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """The header of one file.

    Attributes:
        tensors: By name, in the order of their bytes in the file.
        metadata: The file's own strings.
        data_offset: Where the data section begins, in bytes from the file's start.
        total_bytes: The size of the whole file.
    """

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    data_offset: int
    total_bytes: int
