# SPDX-License-Identifier: Apache-2.0
"""Aggregation over files: block by block, in the order of client names.

Memory is bounded by the block budget, whatever the model's size and the number of clients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.server.rounds.walk import walked
from mmar_runner.storage.tensor_files import TensorWriter

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from mmar_runner.interfaces.aggregator import TensorwiseAggregator
    from mmar_runner.server.rounds.update_blocks import Update


def aggregate(
    aggregator: TensorwiseAggregator,
    base: Path,
    updates: Sequence[Update],
    destination: Path,
    *,
    durable: bool,
    spare: Path | None = None,
    excluded: Collection[str] = (),
    given_up: threading.Event | None = None,
) -> tuple[str, list[float]]:
    """Combine updates into the next model file.

    Args:
        aggregator: The rule.
        base: The model the updates were made from.
        updates: In the order of client names.
        destination: Where the result goes; it appears whole or not at all.
        durable: Whether the result is on disk before this returns.
        spare: A file that may be written over for it.
        excluded: Names of tensors that keep the base's values, as those that the rule
            itself excludes do.
        given_up: Once it is set nobody wants the result any more.

    Returns:
        The result's sha256 (hex) and the weights that were used, in order.

    Raises:
        RunFailedError: The rule gave weights or blocks that are not usable; NON_FINITE, the
            result is not finite.
        RunStoppedError: It was given up; nothing is left of it.
    """
    with walked(aggregator, base, updates, excluded, given_up) as walk:
        model = walk.model
        if aggregator.needs_measure:
            walk.measure()
        tensors = [(t.name, t.dtype, t.shape) for t in model.header.tensors.values()]
        metadata = model.header.metadata
        with TensorWriter(destination, tensors, metadata, durable=durable, recycle=spare) as writer:
            for name, block in walk.results():
                writer.write(name, block)
            return writer.commit(), walk.weights.tolist()
