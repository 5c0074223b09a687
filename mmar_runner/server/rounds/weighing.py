# SPDX-License-Identifier: Apache-2.0
"""How much each site counts in a round, and each update: a combiner's as much as its sites do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mmar_runner.documents.words import counted
from mmar_runner.errors import RunFailedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from mmar_runner.interfaces.aggregator import TensorwiseAggregator
    from mmar_runner.server.rounds.update_blocks import Update


def require_enough(rule: TensorwiseAggregator, updates: Sequence[Update], label: str) -> None:
    """Hold a rule to what it is defined for, whatever else let the round close.

    Args:
        rule: The rule.
        updates: Of the round; of a combiner's, each site is one.
        label: What sentences about the rule's failures call it.

    Raises:
        RunFailedError: MIN_UPDATES.
    """
    least, number = rule.min_updates, sum(len(update.contributions) for update in updates)
    if number < least:
        msg = f"{label} needs {counted(least, 'update')}, and the round has {number}"
        hint = f"raise min_num_clients to {least}, or choose another aggregator"
        raise RunFailedError(msg, hint=hint, reason="MIN_UPDATES")


def weights_of(
    rule: TensorwiseAggregator, updates: Sequence[Update], label: str
) -> npt.NDArray[np.float64]:
    """Return the weights of the sites, in the order of the updates and of their parts.

    Args:
        rule: Gives them.
        updates: Of the round.
        label: What sentences about the rule's failures call it.

    Raises:
        RunFailedError: AGGREGATOR, they are not usable.
    """
    contributions = [one for update in updates for one in update.contributions]
    weights = np.asarray(rule.weigh(contributions), dtype=np.float64)
    expected = (len(contributions),)
    if weights.shape != expected or not np.isfinite(weights).all() or (weights < 0).any():
        msg = f"{label} gave weights that are not usable: {weights.tolist()}"
        hint = f"weigh must return {counted(len(contributions), 'finite number')}, none below 0"
        raise RunFailedError(msg, hint=hint, reason="AGGREGATOR")
    return weights


def shares_of(updates: Sequence[Update], weights: npt.NDArray[np.float64]) -> list[float]:
    """Return what each update weighs: a partial sum as much as its parts together.

    Args:
        updates: Of the round.
        weights: As `weights_of` returned them.
    """
    shares, first = [], 0
    for update in updates:
        last = first + len(update.contributions)
        shares.append(math.fsum(weights[first:last]))
        first = last
    return shares
