# SPDX-License-Identifier: Apache-2.0
"""The walk of one aggregation: every block of every tensor, shown to the rule, in order.

The aggregator sees one block of one tensor of all updates at a time; adding differences to
the base, rounding integers and majorities of booleans are done here, so that every rule
treats them alike.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mmar_runner.documents.words import counted
from mmar_runner.errors import RunFailedError, RunStoppedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.interfaces.server_state import StatefulAggregator
from mmar_runner.server.rounds.kept_state import KeptState
from mmar_runner.server.rounds.update_blocks import FOLD_ELEMENTS, Opened, blocks
from mmar_runner.server.rounds.weighing import require_enough, shares_of, weights_of
from mmar_runner.storage.dtypes import holds_fractions, numpy_dtype
from mmar_runner.storage.tensor_files import TensorReader

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from mmar_runner.interfaces.aggregator import AggregationContext, TensorwiseAggregator
    from mmar_runner.server.rounds.kept_state import Keep
    from mmar_runner.server.rounds.update_blocks import Block, Update
    from mmar_runner.storage.header import TensorInfo

#: The most bytes of all updates' blocks together.
_BLOCK_BUDGET: Final = 64 << 20
#: The most bytes of one update's block: a few of them stay in the processor's cache.
_UPDATE_BYTES: Final = 1 << 20


def _forget(_name: str, _block: Block) -> None:
    """Keep nothing: for a walk of which only the result is looked at."""


@dataclass(frozen=True, slots=True)
class Combination:
    """What is to be combined, and how; nothing of it is open yet.

    Attributes:
        aggregator: The rule.
        base: The model that the updates were made from.
        updates: In the order of client names.
        context: The round, as the rule is told of it.
        excluded: Names of tensors that keep the base's values, as those that the rule
            itself excludes do.
        given_up: Once it is set nobody wants the result any more: it is looked at before
            every block.
        label: What sentences about the rule's failures call it.
        state: The file of what the rule keeps, as the round finds it; None if it keeps nothing,
            or has nothing yet.
    """

    aggregator: TensorwiseAggregator
    base: Path
    updates: Sequence[Update]
    context: AggregationContext
    excluded: Collection[str] = ()
    given_up: threading.Event | None = None
    label: str = "the aggregator"
    state: Path | None = None

    def without(self, clients: Collection[str]) -> Combination:
        """Return the same without the updates of some clients."""
        rest = [u for u in self.updates if u.contribution.client not in clients]
        return replace(self, updates=rest)

    def of_result(
        self, rule: TensorwiseAggregator, result: Update, excluded: Collection[str]
    ) -> Combination:
        """Return what makes the next model of a result that was worked out elsewhere.

        Args:
            rule: Takes it.
            result: What was worked out, as the only update.
            excluded: Names of tensors that keep the base's values.
        """
        return replace(self, aggregator=rule, updates=[result], excluded=excluded)

    def require_wanted(self) -> None:
        """Leave, if nobody wants the result any more.

        Raises:
            RunStoppedError: It was given up.
        """
        if self.given_up is not None and self.given_up.is_set():
            msg = "the aggregation was given up; the resumed run does it again"
            raise RunStoppedError(msg)

    @contextmanager
    def walk(self) -> Iterator[Walk]:
        """Yield the walk of it, in which numbers may overflow without a word.

        Raises:
            RunFailedError: MIN_UPDATES, the rule is not defined for so few updates; AGGREGATOR,
                it gave weights that are not usable.
            RunStoppedError: It was given up.
        """
        require_enough(self.aggregator, self.updates, self.label)
        # What is infinite in the end is refused; numpy's warnings would name no tensor.
        with ExitStack() as stack, np.errstate(over="ignore", invalid="ignore"):
            model = stack.enter_context(TensorReader(self.base))
            tensors = model.header.tensors.values()
            integers = frozenset(t.name for t in tensors if not holds_fractions(t.dtype))
            self.aggregator.begin(replace(self.context, integers=integers))
            weights = weights_of(self.aggregator, self.updates, self.label)
            kept = None
            if isinstance(self.aggregator, StatefulAggregator):
                kept = stack.enter_context(KeptState(self.aggregator, self.state, self.label))
            older = {
                path: stack.enter_context(TensorReader(path))
                for path in {one.base for one in self.updates if one.base is not None}
            }
            yield Walk(self, model, weights, kept=kept, older=older)


class Walk:
    """One aggregation: base, updates and rule, walked block by block.

    Args:
        combination: What is combined.
        model: The base, open.
        weights: Of the sites: one for each update, and for each part of a partial sum.
        kept: What the rule keeps from round to round; None if it keeps nothing.
        older: Models that updates were made from and that are older than the base, open.

    Attributes:
        on_differences: Whether the rule sees float64 differences to the base, of every update.
        shares: What each update weighs: a partial sum as much as its parts together.
    """

    def __init__(
        self,
        combination: Combination,
        model: TensorReader,
        weights: npt.NDArray[np.float64],
        *,
        kept: KeptState | None = None,
        older: Mapping[Path, TensorReader] = MappingProxyType({}),
    ) -> None:
        self._wanted = combination.require_wanted
        self._rule = combination.aggregator
        self._label = combination.label
        self._excluded = combination.excluded
        self.model = model
        self._updates = combination.updates
        self.weights = weights
        self.shares = shares_of(combination.updates, weights)
        self.kept = kept
        self._older = older
        kinds = {u.contribution.kind for u in combination.updates}
        self._mixed = len(kinds) > 1
        self._has_sums = any(u.parts for u in combination.updates)
        # Differences to several models have nothing in common but that they are differences.
        as_differences = self._rule.on_differences or any(u.is_stale for u in combination.updates)
        self.on_differences = as_differences or self._mixed
        self._difference = as_differences or UpdateKind.WEIGHT_DIFF in kinds

    def measure(self) -> None:
        """Show every block to the rule's first pass."""
        with Opened(self._updates) as files:
            for info in self.included():
                for start, count in blocks(info, self._elements(info)):
                    self.require_wanted()
                    # Without a name for it: it would be held while the next one is read.
                    self._rule.measure(
                        info.name, self._stacked(files, info, start, count), self.weights
                    )

    def results(self, keep: Keep = _forget) -> Iterator[tuple[str, Block]]:
        """Yield the next model's blocks, in the file's order and dtype.

        Args:
            keep: Takes the blocks of what the rule keeps, each before the model's.
        """
        with Opened(self._updates) as files:
            for info in self.model.header.tensors.values():
                excluded = self._excludes(info.name)
                elements = FOLD_ELEMENTS if excluded else self._elements(info)
                for start, count in blocks(info, elements):
                    self.require_wanted()
                    if excluded:
                        yield info.name, self.base(info, start, count)
                    else:
                        yield info.name, self._combined(files, info, start, count, keep)

    @property
    def sums_kind(self) -> UpdateKind:
        """What `sums` are sums of."""
        return UpdateKind.WEIGHT_DIFF if self._difference else UpdateKind.WEIGHTS

    def sums(self) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
        """Yield the blocks of what the rule folds, not finished; 0 where it leaves a tensor alone.

        Raises:
            RunFailedError: NON_FINITE, the updates of this sum would make a model that is not;
                AGGREGATOR, the rule gave a block that is not usable.
        """
        with Opened(self._updates) as files:
            for info in self.model.header.tensors.values():
                excluded = self._excludes(info.name)
                for start, count in blocks(info, FOLD_ELEMENTS):
                    self.require_wanted()
                    if excluded:
                        yield info.name, np.zeros(count, dtype=np.float64)
                        continue
                    accumulator = self._accumulated(files, info, start, count)
                    self._require_mean(accumulator.copy(), info, start)
                    yield info.name, accumulator

    def _require_mean(
        self, accumulator: npt.NDArray[np.float64], info: TensorInfo, start: int
    ) -> None:
        """Hold what these updates alone would make to what the model's type holds."""
        count = accumulator.size
        mean = self._rule.finish(accumulator, info.name, self.weights)
        self._require_block(mean, info, count, "finish")
        if self._difference:
            mean = self.base(info, start, count).astype(np.float64) + mean
        self._cast(mean, info)

    def require_wanted(self) -> None:
        """Leave, if nobody wants the result any more.

        Raises:
            RunStoppedError: It was given up.
        """
        self._wanted()

    def included(self) -> Iterator[TensorInfo]:
        """Yield the tensors that are combined."""
        for info in self.model.header.tensors.values():
            if not self._excludes(info.name):
                yield info

    def _excludes(self, name: str) -> bool:
        return name in self._excluded or self._rule.excludes(name)

    def _elements(self, info: TensorInfo) -> int:
        if self._folds:
            return FOLD_ELEMENTS
        itemsize = 8 if self.on_differences or self._rule.takes else info.itemsize
        rows = len(self._updates) + (0 if self.kept is None else self.kept.rows)
        most = min(_BLOCK_BUDGET // rows, _UPDATE_BYTES)
        return max(1, most // itemsize)

    @property
    def _folds(self) -> bool:
        one_kind = self._rule.on_differences or not self._mixed
        return self._rule.foldable and (one_kind or self._has_sums)

    def _combined(
        self, files: Opened, info: TensorInfo, start: int, count: int, keep: Keep
    ) -> Block:
        if self._folds:
            combined = self._folded(files, info, start, count)
        else:
            stacked = self._stacked(files, info, start, count)
            stacked.flags.writeable = False
            combined = self._rule.combine(info.name, stacked, self.weights)
        method = "finish" if self._folds else "combine"
        self._require_block(combined, info, count, method)
        if self._difference:
            base = self.base(info, start, count).astype(np.float64)
            if self.kept is not None and self.kept.steps(info):
                combined = self.kept.step(info, start, base, combined, keep)
                self._require_block(combined, info, count, "step")
            combined = base + combined
        return self._cast(combined, info)

    def _require_block(self, combined: object, info: TensorInfo, count: int, method: str) -> None:
        shape = combined.shape if isinstance(combined, np.ndarray) else type(combined).__name__
        if shape != (count,):
            msg = f"{self._label} gave {shape} for a block of {count} of {info.name!r}"
            hint = f"{method} must return an array of {counted(count, 'number')}, one a column"
            raise RunFailedError(msg, hint=hint, reason="AGGREGATOR")

    def _folded(self, files: Opened, info: TensorInfo, start: int, count: int) -> Block:
        accumulator = self._accumulated(files, info, start, count)
        return self._rule.finish(accumulator, info.name, self.weights)

    def _accumulated(
        self, files: Opened, info: TensorInfo, start: int, count: int
    ) -> npt.NDArray[np.float64]:
        """Return a block of what the rule folds; partial sums are added as they are."""
        accumulator = np.zeros(count, dtype=np.float64)
        rows = self._rows(files, info, start, count)
        for update, row, weight in zip(self._updates, rows, self.shares, strict=True):
            if update.parts:
                np.add(accumulator, row, out=accumulator)
            else:
                self._rule.fold(accumulator, info.name, row, weight)
        return accumulator

    def _stacked(self, files: Opened, info: TensorInfo, start: int, count: int) -> Block:
        whole = numpy_dtype(self._rule.takes or info.dtype)
        dtype = np.dtype(np.float64) if self.on_differences else whole
        stacked = np.empty((len(self._updates), count), dtype=dtype)
        if not self.on_differences:
            for index in range(len(self._updates)):
                files.reader(index).read_into(info.name, start, stacked[index])
            return stacked
        for index, row in enumerate(self._rows(files, info, start, count)):
            stacked[index] = row
        return stacked

    def _rows(
        self, files: Opened, info: TensorInfo, start: int, count: int
    ) -> Iterator[npt.NDArray[Any]]:
        """Yield every update's block as the rule sees it; the next is written over it."""
        buffer = np.empty(count, dtype=numpy_dtype(info.dtype))
        base = self.base(info, start, count).astype(np.float64) if self.on_differences else None
        for index, update in enumerate(self._updates):
            if update.parts:
                yield self._sum_row(files, index, info, (start, count), base)
                continue
            files.reader(index).read_into(info.name, start, buffer)
            if base is None:
                yield buffer
            else:
                yield as_difference(buffer, self.base_of(update, info, start, base), update)

    def _sum_row(
        self,
        files: Opened,
        index: int,
        info: TensorInfo,
        part: tuple[int, int],
        base: npt.NDArray[np.float64] | None,
    ) -> npt.NDArray[np.float64]:
        """Return a block of a partial sum: of weights, or of differences where those are summed."""
        row = self.read_sum(files, index, info, part)
        if base is not None and self._updates[index].contribution.kind is UpdateKind.WEIGHTS:
            row -= self.shares[index] * base
        return row

    def read_sum(
        self, files: Opened, index: int, info: TensorInfo, part: tuple[int, int]
    ) -> npt.NDArray[np.float64]:
        """Return a block of the index-th update, a partial sum, as it came.

        Args:
            files: The updates.
            index: Which of them.
            info: The tensor.
            part: The block's first element, and how many there are.
        """
        row = np.empty(part[1], dtype=np.float64)
        files.reader(index).read_into(info.name, part[0], row)
        return row

    def base_of(
        self, update: Update, info: TensorInfo, start: int, base: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return a block, in float64, of the model that an update was made from.

        Args:
            update: The update.
            info: The tensor.
            start: The block's first element.
            base: The block of the round's own model.
        """
        if update.base is None:
            return base
        block = np.empty(base.size, dtype=numpy_dtype(info.dtype))
        self._older[update.base].read_into(info.name, start, block)
        return block.astype(np.float64)

    def base(self, info: TensorInfo, start: int, count: int) -> Block:
        """Return a block of the model that the updates were made from."""
        block = np.empty(count, dtype=numpy_dtype(info.dtype))
        self.model.read_into(info.name, start, block)
        return block

    def _cast(self, block: Block, info: TensorInfo) -> Block:
        dtype = numpy_dtype(info.dtype)
        if dtype == np.bool_:
            return np.asarray(block > 0.5, dtype=np.bool_)  # noqa: PLR2004 - a majority
        if np.issubdtype(dtype, np.integer):
            limits = np.iinfo(dtype)
            return np.clip(np.rint(block), limits.min, limits.max).astype(dtype)
        cast = block.astype(dtype, copy=False)
        if not np.isfinite(cast).all():
            msg = (
                f"the aggregated tensor {info.name!r} is not finite in {info.dtype}: "
                f"{self._label} gave NaN, infinity or more than that holds"
            )
            hint = "every update was finite: look for a division by 0, or a sum of too much"
            raise RunFailedError(msg, hint=hint, reason="NON_FINITE")
        return cast


def as_difference(
    block: Block, base: npt.NDArray[np.float64], update: Update
) -> npt.NDArray[np.float64]:
    """Return an update's block as float64 differences to the base, of whichever kind it is.

    Args:
        block: Of the update, in its own dtype; left as it is.
        base: The same block of the model that the update was made from.
        update: Says what its tensors are, and what its difference counts.
    """
    difference = block.astype(np.float64)
    if update.contribution.kind is UpdateKind.WEIGHTS:
        difference -= base
    if update.is_stale:
        difference *= update.factor
    return difference
