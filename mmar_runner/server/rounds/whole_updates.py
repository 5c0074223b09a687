# SPDX-License-Identifier: Apache-2.0
"""Whole updates for a rule in a child: written for it one by one, and its result taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mmar_runner.interfaces.aggregator import Contribution, TensorwiseAggregator, UpdateKind
from mmar_runner.server.rounds.update_blocks import FOLD_ELEMENTS, Update, blocks
from mmar_runner.server.rounds.walk import as_difference
from mmar_runner.storage.dtypes import holds_fractions, numpy_dtype
from mmar_runner.storage.tensor_files import TensorWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from mmar_runner.server.rounds.walk import Combination, Walk
    from mmar_runner.storage.coded_reader import BlockReader
    from mmar_runner.storage.header import TensorInfo

#: Element types that code of others knows; what is in another one is given in float32.
_KNOWN: Final = frozenset({"F64", "F32", "F16"})


class Given(TensorwiseAggregator):
    """Takes the one result that there is, as it is: float64, as the child wrote it."""

    takes = "F64"

    def combine(
        self,
        name: str,  # noqa: ARG002 - the interface's signature
        tensors: npt.NDArray[Any],
        weights: npt.NDArray[np.float64],  # noqa: ARG002 - as above
    ) -> npt.NDArray[Any]:
        """Return the result's block."""
        return np.array(tensors[0])


def write_whole(combination: Combination, update: Update, wants: UpdateKind, path: Path) -> None:
    """Write one update for a rule that wants it whole, block by block.

    Args:
        combination: What it is a part of; tensors that are excluded are not written.
        update: The update, of whichever kind.
        wants: What the file shall hold.
        path: Where it goes.

    Raises:
        RunStoppedError: The aggregation was given up.
        StorageError: Something cannot be read or written.
    """
    with combination.walk() as walk, update.open() as reader:
        tensors = [(i.name, _dtype(i, wants), i.shape) for i in walk.included()]
        with TensorWriter(path, tensors, {}, durable=False) as writer:
            for info in walk.included():
                for start, count in blocks(info, FOLD_ELEMENTS):
                    walk.require_wanted()
                    block = _block(walk, update, reader, (info, start, count), wants)
                    writer.write(info.name, block.astype(numpy_dtype(_dtype(info, wants))))
            writer.commit()


def result_of(
    combination: Combination,
    opens: Callable[[], BlockReader],
    kind: UpdateKind,
    left_out: tuple[str, ...],
) -> Combination:
    """Return the result that a rule wrote as what is combined: one update, taken as it is.

    Args:
        combination: What the rule was given.
        opens: Opens what it wrote.
        kind: What that holds.
        left_out: Names of tensors that it does not hold.
    """
    made = Update(Contribution("the aggregator", 1.0, kind), opens)
    excluded = frozenset(combination.excluded) | frozenset(left_out)
    return combination.of_result(Given(), made, excluded)


def _dtype(info: TensorInfo, wants: UpdateKind) -> str:
    if holds_fractions(info.dtype):
        return info.dtype if info.dtype in _KNOWN else "F32"
    return "I64" if wants is UpdateKind.WEIGHT_DIFF else info.dtype


def _block(
    walk: Walk,
    update: Update,
    reader: BlockReader,
    part: tuple[TensorInfo, int, int],
    wants: UpdateKind,
) -> npt.NDArray[Any]:
    """Return a block of an update as it is wanted, in a type that holds it."""
    info, start, count = part
    block = np.empty(count, dtype=numpy_dtype(info.dtype))
    reader.read_into(info.name, start, block)
    kind = update.contribution.kind
    if kind is wants is UpdateKind.WEIGHTS and not update.is_stale:
        return block
    base = walk.base(info, start, count).astype(np.float64)
    difference = as_difference(block, walk.base_of(update, info, start, base), update)
    if wants is UpdateKind.WEIGHT_DIFF:
        return difference if holds_fractions(info.dtype) else np.rint(difference)
    return base + difference
