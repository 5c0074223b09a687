# SPDX-License-Identifier: Apache-2.0
"""A safetensors file that is in memory already, read like one on disk."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from mmar_runner.errors import SchemaMismatchError
from mmar_runner.storage.dtypes import numpy_dtype
from mmar_runner.storage.safetensors_format import parse_header

if TYPE_CHECKING:
    from mmar_runner.storage.header import Header


class TensorBytes:
    """Reads blocks of tensors out of bytes; the small twin of `TensorReader`.

    Args:
        data: A whole file.

    Raises:
        FormatError: The bytes are not of the accepted profile.
    """

    def __init__(self, data: bytes) -> None:
        self.header: Header = parse_header(data, file_size=len(data))
        self._data = data

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing: there is nothing to close."""

    def read_into(self, name: str, start_element: int, out: npt.NDArray[Any]) -> None:
        """Fill ``out`` with consecutive elements of a tensor; see `TensorReader`.

        Raises:
            SchemaMismatchError: No such tensor, another dtype, or beyond its end.
        """
        info = self.header.tensors.get(name)
        begins = 0 if info is None else info.start + start_element * out.itemsize
        if info is None or out.dtype != numpy_dtype(info.dtype) or begins + out.nbytes > info.end:
            msg = f"the update has no {out.dtype} tensor {name!r} with {out.size} such elements"
            raise SchemaMismatchError(msg)
        flat = out.reshape(-1)
        offset = self.header.data_offset + begins
        flat[:] = np.frombuffer(self._data, out.dtype, out.size, offset)
