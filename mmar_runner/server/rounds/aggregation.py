# SPDX-License-Identifier: Apache-2.0
"""Aggregation over files: block by block, in the order of client names.

Memory is bounded by the block budget, whatever the model's size and the number of clients.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import RunFailedError
from mmar_runner.storage.tensor_files import TensorWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mmar_runner.server.rounds.update_blocks import Block
    from mmar_runner.server.rounds.walk import Combination, Walk

#: Letters of what a rule may put on record of one round.
_MOST_LETTERS: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What came of an aggregation.

    Attributes:
        sha256: Of the result, hex.
        weights: That were used, in the order of the updates.
        facts: What the rule says of it.
        state_sha256: Of what the rule keeps for the next round, hex; empty if that is nothing.
        following: The round whose model the result is; None for the next one.
    """

    sha256: str
    weights: list[float]
    facts: dict[str, Any] = field(default_factory=dict)
    state_sha256: str = ""
    following: int | None = None


def aggregate(
    combination: Combination,
    destination: Path,
    *,
    durable: bool,
    spare: Path | None = None,
    state: Path | None = None,
) -> Aggregate:
    """Combine updates into the next model file.

    Args:
        combination: Updates, rule and base.
        destination: Where the result goes; it appears whole or not at all.
        durable: Whether the result is on disk before this returns.
        spare: A file that may be written over for it.
        state: Where what the rule keeps goes, which has its name before the result has; None
            throws it away.

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
            with _state_writer(walk, state, durable=durable) as kept:
                for name, block in walk.results(kept.write):
                    writer.write(name, block)
                facts = _usable_facts(combination)
                kept_sha256 = kept.commit()
            return Aggregate(writer.commit(), walk.weights.tolist(), facts, kept_sha256)


class _Nothing:
    """Stands for the writer of a state where none is kept."""

    def write(self, name: str, block: Block) -> None:
        """Throw a block away."""

    def commit(self) -> str:
        """Return that there is no file."""
        return ""


@contextmanager
def _state_writer(
    walk: Walk, destination: Path | None, *, durable: bool
) -> Iterator[TensorWriter | _Nothing]:
    layout = [] if walk.kept is None else walk.kept.layout(walk.included())
    if walk.kept is None or destination is None or not layout:
        yield _Nothing()
        return
    with TensorWriter(destination, layout, walk.kept.metadata, durable=durable) as writer:
        yield writer


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
