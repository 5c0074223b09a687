# SPDX-License-Identifier: Apache-2.0
"""In which rounds clients measure the model that they receive."""

from __future__ import annotations


def is_validated(round_number: int, every: int, *, num_rounds: int) -> bool:
    """Return whether clients measure a round's model before they train it.

    It is the result of the round before, so that clients measure the results that a server with
    a validator of its own measures: those of the rounds k with ``(k + 1) % every == 0``. In the
    last round they measure as well, since no other tells of the result before it.

    Args:
        round_number: The round.
        every: Every how many rounds; 0 or 1 for each.
        num_rounds: The round to stop at; negative if the run never stops.
    """
    return every <= 1 or round_number % every == 0 or round_number == num_rounds - 1
