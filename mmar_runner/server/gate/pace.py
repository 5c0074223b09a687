# SPDX-License-Identifier: Apache-2.0
"""How fast somebody may go on for long, and how much at once. Pure: the clock is handed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Of how many a pace is remembered.
_MOST: Final = 10_000


@dataclass(slots=True)
class _Bucket:
    left: float
    seen: float


class Paces:
    """A bucket for everybody; what is taken from it comes back with time.

    Args:
        per_second: What anybody may take a second, for long.
        at_once: What anybody may take at once after a rest.
    """

    def __init__(self, per_second: float, at_once: float) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._buckets: dict[str, _Bucket] = {}

    def take(self, who: str, now: float) -> bool:
        """Take one, if there is one left.

        Args:
            who: Whose bucket.
            now: Seconds of a clock that does not run backwards.
        """
        if len(self._buckets) > _MOST:
            self._buckets.clear()
        bucket = self._buckets.setdefault(who, _Bucket(self._at_once, now))
        come_back = (now - bucket.seen) * self._per_second
        bucket.left, bucket.seen = min(self._at_once, bucket.left + come_back), now
        if bucket.left < 1:
            return False
        bucket.left -= 1
        return True
