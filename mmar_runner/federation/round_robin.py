# SPDX-License-Identifier: Apache-2.0
"""Round robin: the model travels from client to client, and one works at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class RoundRobin:
    """One client has the turn: it works on the result of the one before it.

    Such a chain is known as cyclic weight transfer (Chang et al. 2018, JAMIA 25(8),
    doi:10.1093/jamia/ocy017). A turn is a round, so every turn has a model, a record and
    a place in the summary of its own.

    It has the methods of ``interfaces.workflow.TurnWorkflow``, which this room may not
    import.

    Args:
        order: Names of clients, in the order of their turns. Who is named and not there is
            skipped; who is there and not named comes after those who are, by name. None
            orders everybody by name.
    """

    takes_turns: ClassVar[bool] = True
    max_staleness: ClassVar[int | None] = None

    def __init__(self, order: Sequence[str] | None = None) -> None:
        names = list(dict.fromkeys(order or ()))
        self._places = {name: place for place, name in enumerate(names)}

    def turn(self, active: Sequence[str], *, after: str | None) -> str:
        """Return whose turn it is: the next after a client, or the first of all.

        The client before need not be there any more: its place in the order counts.

        Args:
            active: Who is there, at least one.
            after: Who had the turn before; None before the first turn.
        """
        ordered = sorted(active, key=self._place)
        if after is None:
            return ordered[0]
        before = self._place(after)
        return next((client for client in ordered if self._place(client) > before), ordered[0])

    def participants(
        self, active: Sequence[str], *, round_number: int, seed: int, per_round: int | None
    ) -> Sequence[str]:
        """Return who would have the first turn; of later ones `turn` says more."""
        del round_number, seed, per_round
        return (self.turn(active, after=None),) if active else ()

    def admits_late(self, *, per_round: int | None) -> bool:
        """Return False: one that joins waits for its turn."""
        del per_round
        return False

    def _place(self, client: str) -> tuple[int, str]:
        return self._places.get(client, len(self._places)), client
