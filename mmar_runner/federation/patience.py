# SPDX-License-Identifier: Apache-2.0
"""How long a run may wait without getting anywhere. Pure: the clock is handed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable


class Patience:
    """Says when a run has waited too long.

    Args:
        max_wait: For how long it may wait without progress, in seconds.
        now: When it begins, in seconds of any clock that does not run backwards.
    """

    def __init__(self, max_wait: float, now: float) -> None:
        self._max_wait = max_wait
        self._since = now
        self._marks: Hashable = None

    @property
    def since(self) -> float:
        """When progress was seen last."""
        return self._since

    def is_over(self, marks: Hashable, now: float, *, waits: bool) -> bool:
        """Take one look at the run and say whether it has waited too long.

        Args:
            marks: What changes with any progress, and with nothing else.
            now: When it is looked at.
            waits: Whether the run waits for others. Time in which it works itself does
                not count.
        """
        if marks != self._marks or not waits:
            self._marks, self._since = marks, now
        return now - self._since >= self._max_wait
