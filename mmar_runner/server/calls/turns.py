# SPDX-License-Identifier: Apache-2.0
"""Places that several share, so that nobody's many keep another's few waiting."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Turns:
    """A bounded number of places, of which each owner has a fair share.

    An owner holds at most ``most`` places, and no more than leave one for every other owner
    who waits. A place that becomes free goes to the waiting owner who holds the fewest, and
    among equals to who has waited longest. Nobody is sent away from a place.

    Args:
        places: How many there are.
        most: How many of them one owner may hold.
    """

    def __init__(self, places: int, *, most: int) -> None:
        self._places = places
        self._most = most
        self._held: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def turn(self, owner: str) -> AsyncIterator[None]:
        """Wait for a place and hold it until the end of the block."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((owner, place))
        self._give()
        try:
            await place
        except asyncio.CancelledError:
            # It may have been given and taken back at the same moment.
            if place.done() and not place.cancelled():
                self._leave(owner)
            else:
                self._waiting.remove((owner, place))
                self._give()  # one owner fewer waits: others may have more
            raise
        try:
            yield
        finally:
            self._leave(owner)

    def held(self, owner: str) -> int:
        """Return how many places an owner holds."""
        return self._held[owner]

    def _leave(self, owner: str) -> None:
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        self._give()

    def _give(self) -> None:
        while self._held.total() < self._places and (chosen := self._next()) is not None:
            owner, place = chosen
            self._waiting.remove(chosen)
            self._held[owner] += 1
            place.set_result(None)

    def _next(self) -> tuple[str, asyncio.Future[None]] | None:
        """Return who is to have the next place, if anybody who waits may have one."""
        share = self._share()
        # Whoever was cancelled is among those who wait until its task comes to know of it.
        able = [
            one for one in self._waiting if self._held[one[0]] < share and not one[1].cancelled()
        ]
        return min(able, key=lambda one: self._held[one[0]], default=None)

    def _share(self) -> int:
        """Return how many places an owner who waits may have."""
        others = len({name for name, _ in self._waiting}) - 1
        return min(self._most, max(1, self._places - others))
