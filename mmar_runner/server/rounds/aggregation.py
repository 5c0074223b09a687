# SPDX-License-Identifier: Apache-2.0
"""Aggregation over files: block by block, in the order of client names.

Memory is bounded by the block budget, whatever the model's size and the number of clients.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import RunFailedError
from mmar_runner.storage.tensor_files import TensorWriter

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.server.rounds.walk import Combination

#: Letters of what a rule may put on record of one round.
_MOST_LETTERS: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What came of an aggregation.

    Attributes:
        sha256: Of the result, hex.
        weights: That were used, in the order of the updates.
        facts: What the rule says of it.
    """

    sha256: str
    weights: list[float]
    facts: dict[str, Any] = field(default_factory=dict)


def aggregate(
    combination: Combination, destination: Path, *, durable: bool, spare: Path | None = None
) -> Aggregate:
    """Combine updates into the next model file.

    Args:
        combination: Updates, rule and base.
        destination: Where the result goes; it appears whole or not at all.
        durable: Whether the result is on disk before this returns.
        spare: A file that may be written over for it.

    Returns:
        What came of it.

    Raises:
        RunFailedError: MIN_UPDATES, there are too few updates for the rule; AGGREGATOR, it gave
            weights, blocks or facts that are not usable; NON_FINITE, the result is not finite.
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
            facts = _usable_facts(combination)
            return Aggregate(writer.commit(), walk.weights.tolist(), facts)


def _usable_facts(combination: Combination) -> dict[str, Any]:
    """Return what the rule says of the walk that is over, as JSON reads it back.

    Raises:
        RunFailedError: AGGREGATOR, JSON cannot hold it.
    """
    said = combination.aggregator.facts()
    try:
        text = json.dumps(dict(said), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"{combination.label} gave facts that cannot be put on record: {error}"
        hint = "facts must return a mapping of what JSON can hold: finite numbers, text, lists"
        raise RunFailedError(msg, hint=hint, reason="AGGREGATOR") from error
    if len(text) > _MOST_LETTERS:
        msg = f"{combination.label} gave facts of {len(text)} letters for one round"
        hint = f"a round's record holds {_MOST_LETTERS}: leave out what can be worked out again"
        raise RunFailedError(msg, hint=hint, reason="AGGREGATOR")
    facts: dict[str, Any] = json.loads(text)
    return facts
