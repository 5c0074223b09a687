# SPDX-License-Identifier: Apache-2.0
"""FedBuff: clients do not wait for each other, and a full buffer becomes the next model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Final

#: The most versions behind that an update may be allowed to be: so many models are kept.
MAX_STALENESS: Final = 64


class FedBuff:
    """Buffered asynchronous aggregation (Nguyen et al. 2022, arXiv:2106.06639).

    The buffer is a round: it takes the updates of ``min_num_clients`` sites, at most one of
    each client, whichever come first, and closes with the last of them. Everybody works all the
    time; an update that was made from an older model is added as a difference to that one,
    times `staleness_factor`.

    It has the methods of ``interfaces.workflow.Workflow``, which this room may not import.

    Args:
        max_staleness: How many versions older than the newest the model may be that an update
            was made from; what is older is refused.

    Raises:
        ValueError: That is below 0 or above `MAX_STALENESS`.
    """

    takes_turns: ClassVar[bool] = False

    def __init__(self, max_staleness: int = 10) -> None:
        if not 0 <= max_staleness <= MAX_STALENESS:
            raise ValueError(f"max_staleness is {max_staleness}, not 0 to {MAX_STALENESS}")
        self.max_staleness: int | None = max_staleness

    def participants(
        self, active: Sequence[str], *, round_number: int, seed: int, per_round: int | None
    ) -> Sequence[str]:
        """Return everybody who is there."""
        del round_number, seed, per_round
        return tuple(sorted(active))

    def admits_late(self, *, per_round: int | None) -> bool:
        """Return True: whoever comes works."""
        del per_round
        return True

    def turn(self, active: Sequence[str], *, after: str | None) -> str:
        """Return the next by name; nobody asks, since no turns are taken."""
        return next((client for client in active if after is None or client > after), active[0])


def staleness_factor(staleness: int) -> float:
    """Return the factor of an update that was made from a model so many versions old.

    It is 1 / sqrt(1 + staleness), as in the paper's experiments (section 5).
    """
    return 1.0 / math.sqrt(1.0 + staleness)
