# SPDX-License-Identifier: Apache-2.0
"""Simulated clients come a few at a time: thousands at once would wait for each other."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from mmar_runner.interfaces.observer import Topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mmar_runner.interfaces.observer import Observation, Observer

#: How many sessions connect and register at once. More fill the backlog of a listening socket
#: and the lists of both event loops, and are not quicker.
AT_ONCE: Final = 64


class Arrivals:
    """Lets sessions begin, so many at once until each is registered."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._places = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def turn(self, observer: Observer) -> AsyncIterator[Observer]:
        """Wait for a place; it is given up at the registration, or at the end.

        Args:
            observer: Watches the session; what it sees is to be told to what this gives.
        """
        await self._places.acquire()
        arrival = _Arrival(observer, self._places)
        try:
            yield arrival
        finally:
            arrival.leave()


class _Arrival:
    """Sees when one session is registered, and hands on what it observes."""

    def __init__(self, observer: Observer, places: asyncio.Semaphore) -> None:
        self._observer = observer
        self._places: asyncio.Semaphore | None = places

    def observe(self, observation: Observation) -> None:
        if observation.topic is Topic.REGISTERED:
            self.leave()
        self._observer.observe(observation)

    def leave(self) -> None:
        places, self._places = self._places, None
        if places is not None:
            places.release()
