# SPDX-License-Identifier: Apache-2.0
"""What a workflow must be: the policy that says who works in a round.

A workflow is pure: the same arguments give the same answer, on every machine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from mmar_runner.federation.scatter_and_gather import ScatterAndGather


class Workflow(ABC):
    """Chooses the participants of rounds."""

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


# The core's own workflow lives below this room and cannot inherit from it.
Workflow.register(ScatterAndGather)
