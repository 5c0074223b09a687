# SPDX-License-Identifier: Apache-2.0
"""Simulated clients come a few at a time: thousands at once would wait for each other."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from mmar_runner.interfaces.observer import Topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mmar_runner.interfaces.observer import Observation, Observer

#: How many sessions connect and register at once. More fill the backlog of a listening socket
#: and the lists of both event loops, and are not quicker.
AT_ONCE: Final = 64


class Arrivals:
    """Lets sessions begin, so many at once until each is registered.

    Args:
        expected: How many come.
        complete: Called once, when each of them is registered, or has ended before.
        at_once: So many.
    """

    def __init__(self, expected: int, complete: Callable[[], None], at_once: int = AT_ONCE) -> None:
        self._missing = expected
        self._complete = complete
        self._places = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def turn(self, observer: Observer) -> AsyncIterator[Observer]:
        """Wait for a place; it is given up at the registration, or at the end.

        Args:
            observer: Watches the session; what it sees is to be told to what this gives.
        """
        await self._places.acquire()
        arrival = _Arrival(observer, self._arrived)
        try:
            yield arrival
        finally:
            arrival.leave()

    def _arrived(self) -> None:
        self._places.release()
        self._missing -= 1
        if not self._missing:
            self._complete()


class _Arrival:
    """Sees when one session is registered, and hands on what it observes."""

    def __init__(self, observer: Observer, arrived: Callable[[], None]) -> None:
        self._observer = observer
        self._arrived: Callable[[], None] | None = arrived

    def observe(self, observation: Observation) -> None:
        if observation.topic is Topic.REGISTERED:
            self.leave()
        self._observer.observe(observation)

    def leave(self) -> None:
        arrived, self._arrived = self._arrived, None
        if arrived is not None:
            arrived()
