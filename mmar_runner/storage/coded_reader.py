# SPDX-License-Identifier: Apache-2.0
"""An update that travelled in another element type, read as if it had not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import numpy as np

from mmar_runner.storage.dtypes import numpy_dtype

if TYPE_CHECKING:
    from types import TracebackType

    import numpy.typing as npt

    from mmar_runner.storage.codecs import Codec
    from mmar_runner.storage.header import Header

#: Elements that are decoded at once: few enough to stay in the processor's cache.
_ELEMENTS: Final = 64 << 10


class BlockReader(Protocol):
    """Reads blocks of tensors out of a safetensors file, wherever it lies."""

    header: Header

    def __enter__(self) -> Self:
        """Return the reader."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close what was opened."""
        ...

    def read_into(self, name: str, start_element: int, out: npt.NDArray[Any]) -> None:
        """Fill ``out`` with consecutive elements of a tensor."""
        ...


class CodedReader:
    """Reads blocks of an update in whichever of two dtypes it is asked for.

    Where the memory that is given has the dtype of the file it is filled as it is; where it has
    that of the model, what is read is decoded on the way, a few elements at a time.

    Args:
        reader: Reads the file as it came; closed with this one.
        codec: In which it travelled.

    Attributes:
        header: The file's own, with the dtypes of the wire.
    """

    def __init__(self, reader: BlockReader, codec: Codec) -> None:
        self._reader = reader
        self._codec = codec
        self.header = reader.header

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._reader.__exit__(kind, error, traceback)

    def read_into(self, name: str, start_element: int, out: npt.NDArray[Any]) -> None:
        """Fill ``out`` with consecutive elements of a tensor; see `TensorReader`.

        Raises:
            SchemaMismatchError: No such tensor, a dtype that is neither the file's nor the
                model's, or beyond its end.
            StorageError: The bytes cannot be read.
        """
        info = self.header.tensors.get(name)
        if info is None or not self._codec.carries(out.dtype, info.dtype):
            self._reader.read_into(name, start_element, out)  # as it is, or refused there
            return
        flat = out.reshape(-1)
        buffer = np.empty(min(flat.size, _ELEMENTS), numpy_dtype(info.dtype))
        for begin in range(0, flat.size, _ELEMENTS):
            part = buffer[: flat.size - begin]
            self._reader.read_into(name, start_element + begin, part)
            flat[begin : begin + part.size] = self._codec.decode(part, out.dtype)
