# SPDX-License-Identifier: Apache-2.0
"""Scatter and gather: every round, all clients or a sample of them work in parallel."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import ClassVar

from mmar_runner.federation.seeds import seeds_for


class ScatterAndGather:
    """The default workflow (McMahan et al. 2017, arXiv:1602.05629, algorithm 1).

    It has the methods of ``interfaces.workflow.Workflow``, which this room may not
    import.
    """

    takes_turns: ClassVar[bool] = False
    max_staleness: int | None = None

    def participants(
        self, active: Sequence[str], *, round_number: int, seed: int, per_round: int | None
    ) -> Sequence[str]:
        """Return all active clients, or ``per_round`` of them sampled by seed and round.

        The sample depends on the names alone: each client gets a number from the
        seed, the round and its name, and the smallest numbers win.
        """
        if per_round is None:
            return tuple(sorted(active))
        number_of = seeds_for(seed, "sample", round_number)
        return tuple(sorted(heapq.nsmallest(per_round, active, key=number_of)))

    def admits_late(self, *, per_round: int | None) -> bool:
        """Return True if everyone works, so a late client does too."""
        return per_round is None

    def turn(self, active: Sequence[str], *, after: str | None) -> str:
        """Return the next by name; nobody asks, since no turns are taken."""
        return next((client for client in active if after is None or client > after), active[0])
