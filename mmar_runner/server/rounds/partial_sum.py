# SPDX-License-Identifier: Apache-2.0
"""What a combiner makes of its clients' updates: a sum that is not divided, in float64.

``sum(weight * value)`` of every tensor, added in the order of client names as the rule itself
would, block by block. Whoever stands above adds such sums up, and divides once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.storage.codecs import PARTIAL_SUM
from mmar_runner.storage.model_schema import ModelSchema
from mmar_runner.storage.tensor_files import TensorWriter

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.aggregator import UpdateKind
    from mmar_runner.server.rounds.walk import Combination


@dataclass(frozen=True, slots=True)
class PartialSum:
    """A partial sum on the disk.

    Attributes:
        path: Where it lies.
        sha256: Of the file, hex.
        kind: What it is a sum of.
        weights: Of the sites in it, in the order of the updates and of their parts.
    """

    path: Path
    sha256: str
    kind: UpdateKind
    weights: tuple[float, ...]


def write_partial_sum(combination: Combination, path: Path) -> PartialSum:
    """Add updates up, and divide by nothing.

    Equal updates make equal bytes: a combiner that was killed makes the same again.

    Args:
        combination: Updates, rule and base; the rule composes.
        path: Where the sum goes; it appears whole or not at all.

    Raises:
        RunFailedError: MIN_UPDATES, there are too few updates for the rule; NON_FINITE, what
            they would make alone is not finite; AGGREGATOR, the rule gave what is not usable.
        RunStoppedError: It was given up; nothing is left of it.
        StorageError: Something cannot be read or written.
    """
    with combination.walk() as walk:
        schema = ModelSchema.from_header(walk.model.header).encoded(PARTIAL_SUM)
        with TensorWriter(path, list(schema), {}) as writer:
            for name, block in walk.sums():
                writer.write(name, block)
            sha256 = writer.commit()
        return PartialSum(path, sha256, walk.sums_kind, tuple(walk.weights.tolist()))
