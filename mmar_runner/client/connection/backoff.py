# SPDX-License-Identifier: Apache-2.0
"""How long to wait before trying again: ever longer, and never in step with others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_SECONDS: Final = 0.2
LONGEST_SECONDS: Final = 5.0
_JITTER: Final = 0.25


class Backoff:
    """Delays that double from 0.2 s to 5 s, each shifted by up to a quarter.

    Args:
        random: Returns a number in [0, 1), anew at each call.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._seconds = FIRST_SECONDS

    def next_delay(self) -> float:
        """Return the next delay in seconds."""
        delay = self._seconds * (1 - _JITTER + 2 * _JITTER * self._random())
        self._seconds = min(LONGEST_SECONDS, self._seconds * 2)
        return min(LONGEST_SECONDS, delay)
