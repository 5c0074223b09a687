# SPDX-License-Identifier: Apache-2.0
"""Updates as blocks: how large one is, and which files are open at once to read them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import numpy as np

from mmar_runner.storage.dtypes import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from mmar_runner.interfaces.aggregator import Contribution
    from mmar_runner.storage.coded_reader import BlockReader
    from mmar_runner.storage.header import TensorInfo
    from mmar_runner.storage.tensor_files import TensorReader

    Block: TypeAlias = npt.NDArray[Any]

#: Elements of a block that is folded: small enough for the processor's cache.
FOLD_ELEMENTS: Final = 128 << 10
#: Update files that are open at once.
_OPEN_FILES: Final = 256


@dataclass(frozen=True, slots=True)
class Update:
    """One accepted update.

    Attributes:
        contribution: What the client said about it.
        open: Opens its file.
        factor: What its difference counts: less than 1 if it was made from an older model.
        base: That model, if the update holds weights; None for the round's own.
        parts: Of a combiner's partial sum what the sites said that count in it; none of a
            site's own update.
    """

    contribution: Contribution
    open: Callable[[], BlockReader]
    factor: float = 1.0
    base: Path | None = None
    parts: tuple[Contribution, ...] = ()

    @property
    def contributions(self) -> tuple[Contribution, ...]:
        """What the rule weighs: this update, or each of its parts."""
        return self.parts or (self.contribution,)

    @property
    def is_stale(self) -> bool:
        """Whether it was made from an older model than the round's."""
        return self.contribution.staleness > 0


class Opened:
    """The updates' readers; beyond a number, they are open in groups."""

    def __init__(self, updates: Sequence[Update]) -> None:
        self._updates = updates
        self._stack = ExitStack()
        self._readers: dict[int, BlockReader] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def reader(self, index: int) -> BlockReader:
        """Return an open reader of the index-th update."""
        reader = self._readers.get(index)
        if reader is None:
            if len(self._readers) >= _OPEN_FILES:
                self._stack.close()
                self._readers.clear()
            reader = self._updates[index].open()
            self._stack.push(reader)
            self._readers[index] = reader
        return reader


def blocks(info: TensorInfo, elements: int) -> Iterator[tuple[int, int]]:
    """Yield start and length of every block of a tensor."""
    for start in range(0, info.count, elements):
        yield start, min(elements, info.count - start)


def read_blocks(model: TensorReader, reader: BlockReader) -> Iterator[tuple[str, Block]]:
    """Yield all of a file block by block, in the order and the types of a model.

    Args:
        model: Says which tensors there are.
        reader: Of the file.
    """
    for info in model.header.tensors.values():
        for start, count in blocks(info, FOLD_ELEMENTS):
            block = np.empty(count, dtype=numpy_dtype(info.dtype))
            reader.read_into(info.name, start, block)
            yield info.name, block
