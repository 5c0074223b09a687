# SPDX-License-Identifier: Apache-2.0
"""Which tensors a model has: what every update of a run is held against."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from mmar_runner.errors import SchemaMismatchError
from mmar_runner.storage.dtypes import holds_fractions, numpy_dtype

if TYPE_CHECKING:
    from mmar_runner.storage.codecs import Codec
    from mmar_runner.storage.header import Header

_HEADER_BASE = 1024
_HEADER_PER_TENSOR = 512
_HEADER_MAX = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ModelSchema:
    """The tensors of a model: names with dtype and shape, in the model's order.

    Attributes:
        tensors: ``name -> (dtype, shape)``.
    """

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]

    @classmethod
    def from_header(cls, header: Header) -> ModelSchema:
        """Return the schema of a file."""
        tensors = {info.name: (info.dtype, info.shape) for info in header.tensors.values()}
        return cls(MappingProxyType(tensors))

    def __iter__(self) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        """Iterate over (name, dtype, shape), as `encode_header` and TensorWriter take them."""
        for name, (dtype, shape) in self.tensors.items():
            yield name, dtype, shape

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self.tensors)

    @property
    def data_bytes(self) -> int:
        """Return the bytes of all tensors together, without a header."""
        return sum(math.prod(shape) * numpy_dtype(dtype).itemsize for _, dtype, shape in self)

    @property
    def fractions(self) -> int:
        """Return the number of elements of all floating tensors together."""
        floating = (shape for _, dtype, shape in self if holds_fractions(dtype))
        return sum(math.prod(shape) for shape in floating)

    @property
    def header_limit(self) -> int:
        """Return the longest header, in bytes, that a file of this model may have."""
        return min(_HEADER_MAX, _HEADER_BASE + _HEADER_PER_TENSOR * len(self))

    def encoded(self, codec: Codec) -> ModelSchema:
        """Return the schema of an update that travels in a codec: other dtypes, the same shapes."""
        tensors = {name: (codec.on_wire(dtype), shape) for name, dtype, shape in self}
        return ModelSchema(MappingProxyType(tensors))

    def digest(self) -> str:
        """Return a sha256 (hex) of names, dtypes and shapes; their order does not matter."""
        listed = sorted([name, dtype, list(shape)] for name, dtype, shape in self)
        return hashlib.sha256(json.dumps(listed, separators=(",", ":")).encode()).hexdigest()

    def check(self, header: Header) -> None:
        """Hold a file's tensors against the model's, in any order.

        Raises:
            SchemaMismatchError: Names the first tensor that differs, what was expected
                and what is there.
        """
        for name, dtype, shape in self:
            info = header.tensors.get(name)
            if info is None:
                raise SchemaMismatchError(
                    f"tensor {name!r} is missing; expected {_described(dtype, shape)}"
                )
            if (info.dtype, info.shape) != (dtype, shape):
                raise SchemaMismatchError(
                    f"tensor {name!r}: expected {_described(dtype, shape)}, "
                    f"got {_described(info.dtype, info.shape)}"
                )
        for name in header.tensors:
            if name not in self.tensors:
                raise SchemaMismatchError(f"tensor {name!r} is not one of the model's")


def _described(dtype: str, shape: tuple[int, ...]) -> str:
    return f"{dtype} {list(shape)}"
