# SPDX-License-Identifier: Apache-2.0
"""Finds the updates without which an aggregate is finite.

Every update is finite by itself; times its weight, on top of the base or together with
others it may be more than a number can hold. Then the updates that do not fit alone are
to blame; if each of them fits, the largest ones are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mmar_runner.errors import RunFailedError
from mmar_runner.interfaces.aggregator import UpdateKind
from mmar_runner.server.rounds.update_blocks import FOLD_ELEMENTS, Opened, blocks
from mmar_runner.server.rounds.walk import as_difference
from mmar_runner.storage.dtypes import holds_fractions, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from mmar_runner.server.rounds.update_blocks import Block, Update
    from mmar_runner.server.rounds.walk import Combination, Walk

    Below: TypeAlias = npt.NDArray[np.float64] | float


@dataclass(slots=True)
class _Fit:
    """How an update fits: its largest value times its weight, and the tensor that is too large."""

    client: str
    largest: float = 0.0
    tensor: str = ""


def find_overflowing(combination: Combination) -> dict[str, str]:
    """Return whose updates are to be left out so that the aggregate is finite, and why.

    The answer depends on the updates alone. Those that do not fit by themselves are
    named at once, and those that are left have to be aggregated to see whether it helped.

    Args:
        combination: Updates, rule and base, whose aggregate is not finite.

    Returns:
        A sentence by client; nothing if the rule itself is to blame.

    Raises:
        RunStoppedError: It was given up.
    """
    fits = _fits(combination)
    alone = {
        fit.client: f"the update is more than the aggregate of {fit.tensor!r} can hold"
        for fit in fits
        if fit.tensor
    }
    return alone or _largest(combination, fits)


def _fits(combination: Combination) -> list[_Fit]:
    updates = combination.updates
    fits = [_Fit(update.contribution.client) for update in updates]
    with combination.walk() as walk, Opened(updates) as files:
        for info in (t for t in walk.included() if holds_fractions(t.dtype)):
            for start, count in blocks(info, FOLD_ELEMENTS):
                walk.require_wanted()
                base_block = walk.base(info, start, count).astype(np.float64)
                block = np.empty(count, dtype=numpy_dtype(info.dtype))
                for index, update in enumerate(updates):
                    dtype, weight = block.dtype, walk.shares[index]
                    if update.parts:  # what its sites would make alone
                        seen = walk.read_sum(files, index, info, (start, count)) / weight
                        difference = update.contribution.kind is UpdateKind.WEIGHT_DIFF
                        below: Below = base_block if difference else 0.0
                    else:
                        files.reader(index).read_into(info.name, start, block)
                        own = walk.base_of(update, info, start, base_block)
                        seen, below = _seen(walk, update, block, own, base_block)
                    _look(fits[index], info.name, seen, weight, base=below, dtype=dtype)
    return fits


def _seen(
    walk: Walk,
    update: Update,
    block: Block,
    own: npt.NDArray[np.float64],
    base: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], Below]:
    """Return an update's block as the rule sees it, in float64, and what lies below it."""
    if walk.on_differences:
        return as_difference(block, own, update), base
    difference = update.contribution.kind is UpdateKind.WEIGHT_DIFF
    return block.astype(np.float64), base if difference else 0.0


def _look(
    fit: _Fit,
    tensor: str,
    values: npt.NDArray[np.float64],
    weight: float,
    *,
    base: Below,
    dtype: np.dtype[Any],
) -> None:
    """Note how a block fits, and whether the model's dtype holds it on top of the base."""
    largest = float(np.abs(values * weight).max(initial=0.0))
    fit.largest = max(fit.largest, largest)
    held = (values + base).astype(dtype)
    if not fit.tensor and not (np.isfinite(largest) and np.isfinite(held).all()):
        fit.tensor = tensor


def _largest(combination: Combination, fits: Sequence[_Fit]) -> dict[str, str]:
    order = [fit.client for fit in sorted(fits, key=lambda fit: (-fit.largest, fit.client))]
    most = len(combination.updates) - combination.aggregator.min_updates
    for number in range(1, most + 1):
        left_out = order[:number]
        if is_finite(combination.without(left_out)):
            return dict.fromkeys(left_out, "the update and the others add up to infinity")
    return {}


def is_finite(combination: Combination) -> bool:
    """Return whether a combination can be walked to its end: nothing of it is kept.

    Raises:
        RunStoppedError: It was given up.
    """
    try:
        with combination.walk() as walk:
            if combination.aggregator.needs_measure:
                walk.measure()
            for _ in walk.results():
                pass
    except RunFailedError:
        return False
    return True
