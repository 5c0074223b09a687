# SPDX-License-Identifier: Apache-2.0
"""Aggregation over files: block by block, in the order of client names.

Memory is bounded by the block budget, whatever the model's size and the number of clients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.storage.tensor_files import TensorWriter

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.server.rounds.walk import Combination


def aggregate(
    combination: Combination, destination: Path, *, durable: bool, spare: Path | None = None
) -> tuple[str, list[float]]:
    """Combine updates into the next model file.

    Args:
        combination: Updates, rule and base.
        destination: Where the result goes; it appears whole or not at all.
        durable: Whether the result is on disk before this returns.
        spare: A file that may be written over for it.

    Returns:
        The result's sha256 (hex) and the weights that were used, in order.

    Raises:
        RunFailedError: The rule gave weights or blocks that are not usable; NON_FINITE, the
            result is not finite.
        RunStoppedError: It was given up; nothing is left of it.
    """
    with combination.walk() as walk:
        model = walk.model
        if combination.aggregator.needs_measure:
            walk.measure()
        tensors = [(t.name, t.dtype, t.shape) for t in model.header.tensors.values()]
        metadata = model.header.metadata
        with TensorWriter(destination, tensors, metadata, durable=durable, recycle=spare) as writer:
            for name, block in walk.results():
                writer.write(name, block)
            return writer.commit(), walk.weights.tolist()
