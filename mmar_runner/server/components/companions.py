# SPDX-License-Identifier: Apache-2.0
"""Adds companions to the model that a run begins with, and leaves them out of an export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from mmar_runner.interfaces.companions import companion_of, is_companion
from mmar_runner.storage.dtypes import holds_fractions, numpy_dtype
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any, TypeAlias

    import numpy.typing as npt

    from mmar_runner.storage.header import TensorInfo

    #: Name, dtype and shape of a tensor.
    Listed: TypeAlias = tuple[str, str, tuple[int, ...]]

#: Elements that are copied at a time.
_ELEMENTS: Final = 128 << 10


def bring_companions(
    model: Path, sorts: Sequence[str], *, excluded: Callable[[str], bool], durable: bool
) -> None:
    """Give a model file the companions that its run needs, and no others.

    A checkpoint of an earlier run may have some: those that fit are kept, as what was learnt.

    Args:
        model: The file; it is replaced as a whole, or left alone if it has them already.
        sorts: What companions each floating tensor has.
        excluded: Says which tensors are not aggregated; they have none.
        durable: Whether the new file is on the disk before this returns.

    Raises:
        StorageError: It cannot be read or written.
    """
    with TensorReader(model) as reader:
        own = [info for info in reader.header.tensors.values() if not is_companion(info.name)]
        wanted = [(info.name, info.dtype, info.shape) for info in own]
        for sort in sorts:
            wanted += [
                (companion_of(sort, info.name), info.dtype, info.shape)
                for info in own
                if holds_fractions(info.dtype) and not excluded(info.name)
            ]
        if wanted != [_listed(info) for info in reader.header.tensors.values()]:
            _write(model, reader, wanted, durable=durable)


def write_without_companions(model: Path, destination: Path) -> bool:
    """Write a model without its companions; return False, with nothing written, if it has none.

    Raises:
        StorageError: It cannot be read or written.
    """
    with TensorReader(model) as reader:
        listed = [_listed(info) for info in reader.header.tensors.values()]
        own = [one for one in listed if not is_companion(one[0])]
        if len(own) == len(listed):
            return False
        _write(destination, reader, own, durable=False)
        return True


def _listed(info: TensorInfo) -> Listed:
    return info.name, info.dtype, info.shape


def _write(path: Path, reader: TensorReader, wanted: Sequence[Listed], *, durable: bool) -> None:
    """Write a file of these tensors: those that the other file has are copied, others are 0."""
    there = reader.header.tensors
    with TensorWriter(path, wanted, reader.header.metadata, durable=durable) as writer:
        for one in wanted:
            for block in _blocks(reader, one, there):
                writer.write(one[0], block)
        writer.commit()


def _blocks(
    reader: TensorReader, listed: Listed, there: Mapping[str, TensorInfo]
) -> Iterator[npt.NDArray[Any]]:
    name, dtype, shape = listed
    total = int(np.prod(shape, dtype=object))
    known = name in there and _listed(there[name]) == listed
    for start in range(0, total, _ELEMENTS):
        block = np.zeros(min(_ELEMENTS, total - start), dtype=numpy_dtype(dtype))
        if known:
            reader.read_into(name, start, block)
        yield block
