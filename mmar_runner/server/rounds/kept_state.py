# SPDX-License-Identifier: Apache-2.0
"""What a rule keeps from round to round, a block at a time: read as a round finds it, stepped.

A state file has one float64 tensor of shape ``[elements, slots]`` for each tensor of the model
that makes a step, in the model's order, under the same name; its metadata names the slots. So
a block of the model and the same block of every slot lie in one piece, and both files are
written in one walk from the first byte to the last.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from mmar_runner.errors import RunFailedError
from mmar_runner.storage.dtypes import holds_fractions
from mmar_runner.storage.tensor_files import TensorReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import TypeAlias

    import numpy.typing as npt

    from mmar_runner.interfaces.server_state import StatefulAggregator
    from mmar_runner.storage.header import TensorInfo

    Block: TypeAlias = npt.NDArray[np.float64]
    #: Takes the next block of a tensor of the state, in order.
    Keep: TypeAlias = Callable[[str, Block], None]

#: Metadata of a state file: the names of its slots, in order.
_SLOTS: Final = "slots"
#: Blocks in memory beside the slots': of the model, of the mean, of the step.
_OTHERS: Final = 3


class KeptState:
    """The state of one walk. Use it as a context manager.

    Args:
        rule: Whose it is.
        before: The file that the round finds; None before the first: slots hold what the rule
            says that they begin with.
        label: What sentences about the rule's failures call it.
    """

    def __init__(self, rule: StatefulAggregator, before: Path | None, label: str) -> None:
        self._rule = rule
        self._before = before
        self._label = label
        self._slots = dict(rule.state)
        self._reader: TensorReader | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open the file that the round finds."""
        if self._before is not None:
            self._reader = self._stack.enter_context(TensorReader(self._before))
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._stack.close()

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of a state file."""
        return {_SLOTS: ",".join(self._slots)}

    @property
    def rows(self) -> int:
        """How many blocks are in memory besides those of the updates."""
        return len(self._slots) + _OTHERS

    def layout(self, stepped: Iterable[TensorInfo]) -> list[tuple[str, str, tuple[int, ...]]]:
        """Return the tensors of a state file: name, dtype and shape.

        Args:
            stepped: The model's tensors that are combined; only floating ones make a step.
        """
        slots = len(self._slots)
        listed = [t for t in stepped if self.steps(t)] if slots else []
        return [(info.name, "F64", (info.count, slots)) for info in listed]

    def steps(self, info: TensorInfo) -> bool:
        """Return whether a tensor that is combined makes a step."""
        return holds_fractions(info.dtype)

    def step(self, info: TensorInfo, start: int, base: Block, mean: Block, keep: Keep) -> Any:
        """Return what the rule adds to a block, and hand on the state that it leaves.

        Args:
            info: The tensor.
            start: The block's first element.
            base: The block of the round's model.
            mean: What the rule made of the updates' differences.
            keep: Takes the new state.

        Raises:
            RunFailedError: NON_FINITE, the new state is not finite.
        """
        blocks = self._block(info, start, base.size)
        slots = {slot: blocks[:, index] for index, slot in enumerate(self._slots)}
        base.setflags(write=False)  # it is still needed: the step is added to it
        step = self._rule.step(info.name, base, mean, slots)
        if not np.isfinite(blocks).all():
            msg = f"what {self._label} keeps of {info.name!r} is not finite"
            hint = "every update was finite: look for a division by 0, or a sum of too much"
            raise RunFailedError(msg, hint=hint, reason="NON_FINITE")
        if self._slots:
            keep(info.name, blocks)
        return step

    def _block(self, info: TensorInfo, start: int, count: int) -> Block:
        blocks = np.empty((count, len(self._slots)), dtype=np.float64)
        if self._reader is None:
            blocks[:] = np.array(list(self._slots.values()), dtype=np.float64)
        elif self._slots:
            self._reader.read_into(info.name, start * len(self._slots), blocks)
        return blocks
