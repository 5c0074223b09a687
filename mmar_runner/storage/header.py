# SPDX-License-Identifier: Apache-2.0
"""What a safetensors header says, as values."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

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
class Span:
    """Neighbouring tensors of one element type: bytes that can be looked at together.

    Attributes:
        dtype: Their element type.
        start: Their first byte, counted from the beginning of the data section.
        end: One past their last byte.
        tensors: The tensors, in order, none of them empty.
    """

    dtype: str
    start: int
    end: int
    tensors: tuple[TensorInfo, ...]

    def tensor_at(self, position: int) -> TensorInfo:
        """Return the tensor that holds a byte of the span."""
        index = bisect_right([tensor.start for tensor in self.tensors], position)
        return self.tensors[index - 1]


def spans_of(tensors: Iterable[TensorInfo]) -> tuple[Span, ...]:
    """Group tensors that lie one behind the other by runs of one element type."""
    filled = (tensor for tensor in tensors if tensor.end > tensor.start)
    return tuple(
        Span(dtype, run[0].start, run[-1].end, run)
        for dtype, run in ((k, tuple(g)) for k, g in groupby(filled, attrgetter("dtype")))
    )


@dataclass(frozen=True, slots=True)
class Header:
    """The header of one file.

    Attributes:
        tensors: By name, in the order of their bytes in the file.
        metadata: The file's own strings.
        data_offset: Where the data section begins, in bytes from the file's start.
        total_bytes: The size of the whole file.
        spans: The data section, by runs of one element type.
    """

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    data_offset: int
    total_bytes: int
    spans: tuple[Span, ...]
