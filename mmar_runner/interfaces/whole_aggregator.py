# SPDX-License-Identifier: Apache-2.0
"""What an aggregator must be that wants whole updates: it works in a child of the server.

A `mmar_runner.interfaces.aggregator.TensorwiseAggregator` sees a block of every update, which
is why the server needs no memory for them. Code that was written for other systems wants one
update after the other, with all its tensors. It is given them in a process of its own: that
process has the memory that the code takes, and what the code does costs a run and no server.

The server gives every accepted update in the order of client names, one file at a time, asks
for the result, checks it as a stranger's, and makes the next model of it as of any other rule's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.interfaces.aggregator import UpdateKind

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.interfaces.aggregator import Contribution
    from mmar_runner.interfaces.client_trainer import TrainerContext


@dataclass(frozen=True, slots=True)
class WholeRound:
    """The round that is aggregated.

    Attributes:
        number: Its number.
        num_rounds: The round at which the run stops; negative if it never does.
        start_round: The number of the run's first round.
        clients: Whose updates will be given, in that order.
    """

    number: int
    num_rounds: int
    start_round: int
    clients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WholeUpdate:
    """One accepted update.

    Attributes:
        contribution: What the client said of it; its kind is what the file holds.
        file: A safetensors file, which is gone once `WholeUpdateAggregator.accept` has
            returned. Floating tensors are float64 where the model's are, else float32 or
            float16; differences of whole numbers and booleans are int64.
    """

    contribution: Contribution
    file: Path


@dataclass(frozen=True, slots=True)
class WholeResult:
    """What an aggregation gave.

    Attributes:
        kind: Whether the file holds weights or differences to the round's model.
        left_out: Names of tensors that keep the round's model's values.
    """

    kind: UpdateKind
    left_out: tuple[str, ...] = ()


class WholeUpdateAggregator(ABC):
    """Base class of every aggregator that is given whole updates.

    Attributes:
        wants: What its files shall hold, whatever clients sent.
    """

    wants: UpdateKind = UpdateKind.WEIGHT_DIFF

    def setup(self, context: TrainerContext) -> None:
        """Get ready, once, before the first round; the client's name is ``server``."""

    @abstractmethod
    def begin(self, round_: WholeRound) -> None:
        """Hear of a round, before its first update.

        A round that could not be aggregated is begun again by another object.
        """

    @abstractmethod
    def accept(self, update: WholeUpdate) -> str:
        """Take one update; return why it shall not count, or nothing.

        The round is closed without an update that shall not count, or waits for another.
        """

    @abstractmethod
    def aggregate(self, destination: Path) -> WholeResult:
        """Write the result of the updates that were taken.

        Args:
            destination: Where: a safetensors file of float64 tensors, named and shaped like
                those of the updates, without those that are left out.
        """

    def close(self) -> None:
        """Release what there is; called once, after the last round."""
