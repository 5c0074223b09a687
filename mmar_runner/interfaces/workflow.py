# SPDX-License-Identifier: Apache-2.0
"""What a workflow must be: the policy that says who works in a round.

A workflow is pure: the same arguments give the same answer, on every machine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from mmar_runner.federation.fedbuff import FedBuff
from mmar_runner.federation.round_robin import RoundRobin
from mmar_runner.federation.scatter_and_gather import ScatterAndGather


class Workflow(ABC):
    """Chooses the participants of rounds.

    Attributes:
        takes_turns: Whether one client works at a time; see `TurnWorkflow`.
        max_staleness: How many versions older than the newest the model may be that an update
            was made from, where clients do not wait for each other: a round is then a buffer,
            which closes as soon as it has the updates of ``min_num_clients`` sites. None where
            a round takes updates of its own model only.
    """

    takes_turns: ClassVar[bool] = False
    max_staleness: int | None = None

    @abstractmethod
    def participants(
        self, active: Sequence[str], *, round_number: int, seed: int, per_round: int | None
    ) -> Sequence[str]:
        """Return the clients that work in a round.

        Args:
            active: The clients that are there, sorted by name.
            round_number: The round that opens.
            seed: The run's seed.
            per_round: ``clients_per_round``, or None for all.
        """

    def admits_late(self, *, per_round: int | None) -> bool:
        """Return True if a client that joins during a round works in it."""
        return per_round is None

    def turn(self, active: Sequence[str], *, after: str | None) -> str:
        """Return whose turn it is; asked only where turns are taken.

        Args:
            active: Who is there and could work, sorted by name; at least one.
            after: Whose turn was before, there or not; None before the first turn.
        """
        del after
        return active[0]


class TurnWorkflow(Workflow):
    """Gives the model to one client after the other: a turn is a round.

    Never do two clients have the turn: if whoever has it is lost or fails for good, `turn`
    is asked for another, and what the first still sends is refused. The run begins once
    ``min_num_clients`` clients are there; one update ends a turn.
    """

    takes_turns: ClassVar[bool] = True

    @abstractmethod
    def turn(self, active: Sequence[str], *, after: str | None) -> str:
        """Return whose turn it is: one of those who are there."""

    def participants(
        self, active: Sequence[str], *, round_number: int, seed: int, per_round: int | None
    ) -> Sequence[str]:
        """Return who would have the first turn."""
        del round_number, seed, per_round
        return (self.turn(active, after=None),) if active else ()

    def admits_late(self, *, per_round: int | None) -> bool:
        """Return False: one that joins waits for its turn."""
        del per_round
        return False


# The core's own workflows live below this room and cannot inherit from it.
Workflow.register(ScatterAndGather)
Workflow.register(FedBuff)
TurnWorkflow.register(RoundRobin)
