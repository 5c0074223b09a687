# SPDX-License-Identifier: Apache-2.0
"""Tensor files, read and written a block at a time; never mapped, never whole in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from mmar_runner.errors import SchemaMismatchError, StorageError
from mmar_runner.storage.atomic import publish, translated
from mmar_runner.storage.dtypes import numpy_dtype
from mmar_runner.storage.hashing_writer import HashingWriter
from mmar_runner.storage.plain_files import open_plain
from mmar_runner.storage.safetensors_format import encode_header, header_of, parse_header

if TYPE_CHECKING:
    from mmar_runner.storage.header import Header, TensorInfo

_READ_BYTES = 1024 * 1024


class TensorReader:
    """Reads tensors of a safetensors file straight into numpy's memory.

    Use it as a context manager. Several threads may read at once.

    Args:
        path: The file.
        links: Whether a link to one will do; see `open_plain`.

    Raises:
        FormatError: The file is not of the accepted profile.
        StorageError: The file cannot be opened, or is no plain file.
    """

    def __init__(self, path: Path, *, links: bool = True) -> None:
        self.path = path
        self._descriptor = open_plain(path, links=links)
        try:
            self.header: Header = header_of(self._descriptor, path)
        except BaseException:
            self.close()
            raise

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
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def read(self, name: str) -> npt.NDArray[Any]:
        """Return a whole tensor in its own dtype and shape.

        Raises:
            SchemaMismatchError: There is no tensor of that name.
            StorageError: The bytes cannot be read.
        """
        info = self._info(name)
        out = np.empty(info.shape, numpy_dtype(info.dtype))
        self.read_into(name, 0, out)
        return out

    def read_into(self, name: str, start_element: int, out: npt.NDArray[Any]) -> None:
        """Fill ``out`` with consecutive elements of a tensor.

        Args:
            name: The tensor.
            start_element: The first element, counted in row-major order.
            out: Contiguous, of the tensor's dtype; any shape, its size says how many.

        Raises:
            SchemaMismatchError: No such tensor, another dtype, or beyond its end.
            StorageError: The bytes cannot be read.
        """
        info = self._info(name)
        if out.dtype != numpy_dtype(info.dtype) or not out.flags.c_contiguous:
            raise SchemaMismatchError(
                f"{self.path}: tensor {name!r} is {info.dtype}; the memory given is {out.dtype}"
                f"{'' if out.flags.c_contiguous else ' and not contiguous'}"
            )
        if start_element < 0 or start_element + out.size > info.count:
            raise SchemaMismatchError(
                f"{self.path}: tensor {name!r} has {info.count} elements; "
                f"{start_element} to {start_element + out.size} were asked for"
            )
        if out.size:
            offset = self.header.data_offset + info.start + start_element * info.itemsize
            self._fill(out.reshape(-1).view(np.uint8).data, offset)

    def _info(self, name: str) -> TensorInfo:
        try:
            return self.header.tensors[name]
        except KeyError:
            raise SchemaMismatchError(f"{self.path} has no tensor {name!r}") from None

    def _fill(self, view: memoryview, offset: int) -> None:
        while view:
            with translated(self.path):
                count = os.preadv(self._descriptor, [view], offset)
            if not count:
                raise StorageError(f"{self.path} ends at byte {offset}; it was longer when opened")
            view = view[count:]
            offset += count


class TensorWriter:
    """Writes a safetensors file in order, in blocks of any size, hashing as it writes.

    Use it as a context manager. Nothing is seen under ``path`` before `commit`; a
    writer that is left without it leaves nothing behind.

    Args:
        path: The file; its folder exists.
        tensors: Name, dtype and shape of each tensor, in the order they are written.
        metadata: Strings to store in the header.
        durable: True if `commit` returns only once the file is on the disk.
        recycle: A file that is no longer needed: its storage is written over, which
            spares the system from finding new pages. It is gone from here on.

    Raises:
        FormatError: The header would not be accepted.
        StorageError: The file cannot be created.
    """

    def __init__(
        self,
        path: Path,
        tensors: Sequence[tuple[str, str, tuple[int, ...]]],
        metadata: Mapping[str, str] = MappingProxyType({}),
        *,
        durable: bool = False,
        recycle: Path | None = None,
    ) -> None:
        encoded = encode_header(tensors, metadata)
        data_bytes = sum(
            int(np.prod(shape, dtype=object)) * numpy_dtype(dtype).itemsize
            for _, dtype, shape in tensors
        )
        total = len(encoded) + data_bytes
        self.path = path
        self.header: Header = parse_header(encoded, file_size=total)
        self._durable = durable
        self._open = True
        self._pending = iter(tuple(self.header.tensors.values()))
        self._current: TensorInfo | None = None
        self._written = 0  # elements of the current tensor
        self._temporary = temporary_of(path)
        self._output = HashingWriter(
            self._temporary, total_bytes=total, recycle=recycle, durable=durable
        )
        self._output.write(memoryview(encoded))

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove what was written, unless it was committed."""
        self.close()

    def close(self) -> None:
        """Abandon the file, unless it was committed."""
        if self._open:
            self._open = False
            self._output.abandon()

    def write(self, name: str, block: npt.NDArray[Any]) -> None:
        """Append the next elements of a tensor; the block may be reused afterwards.

        Args:
            name: The tensor, in the header's order.
            block: The next elements in row-major order, of the tensor's dtype.

        Raises:
            SchemaMismatchError: Not the tensor that is due, another dtype, too many.
            DiskFullError: No space is left.
            StorageError: The bytes cannot be written.
        """
        info = self._due(name)
        if block.dtype != numpy_dtype(info.dtype):
            raise SchemaMismatchError(
                f"{self.path}: tensor {name!r} is {info.dtype}; the block is {block.dtype}"
            )
        if self._written + block.size > info.count:
            raise SchemaMismatchError(
                f"{self.path}: tensor {name!r} has {info.count} elements; "
                f"{self._written + block.size} were written"
            )
        self._written += block.size
        if block.size:
            flat = np.ascontiguousarray(block).reshape(-1)
            self._output.write(flat.view(np.uint8).data)

    def commit(self) -> str:
        """Finish the file and give it its name.

        Returns:
            The sha256 (hex) of the whole file.

        Raises:
            SchemaMismatchError: Elements are missing.
            DiskFullError: No space is left.
            StorageError: The file cannot be finished.
        """
        self._finish_tensor()
        for info in self._pending:
            if info.count:
                raise SchemaMismatchError(f"{self.path}: tensor {info.name!r} was not written")
        digest = self._output.finish()
        publish(self._temporary, self.path, durable=self._durable)
        self._open = False
        return digest

    def _due(self, name: str) -> TensorInfo:
        if self._current is not None and self._current.name == name:
            return self._current
        self._finish_tensor()
        for info in self._pending:
            if info.name == name:
                self._current, self._written = info, 0
                return info
            if info.count:  # an empty tensor needs no write
                raise SchemaMismatchError(
                    f"{self.path}: tensor {info.name!r} is due, {name!r} was written"
                )
        raise SchemaMismatchError(f"{self.path}: no tensor {name!r} is due")

    def _finish_tensor(self) -> None:
        info = self._current
        if info is not None and self._written != info.count:
            raise SchemaMismatchError(
                f"{self.path}: tensor {info.name!r} has {info.count} elements; "
                f"only {self._written} were written"
            )
        self._current = None


def temporary_of(path: Path) -> Path:
    """Return where a file lies while a `TensorWriter` writes it."""
    return path.with_name(f".{path.name}.tmp")


def sha256_file(path: Path) -> str:
    """Return the sha256 (hex) of a file's bytes.

    Raises:
        StorageError: The file cannot be read, or is no plain file.
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_READ_BYTES))
    with translated(path), os.fdopen(open_plain(path), "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()
