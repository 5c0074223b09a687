# SPDX-License-Identifier: Apache-2.0
"""A world in one thread: one clock, processes that take turns, and deaths, all by one seed.

Whatever is random is drawn from `World.rng`, in an order that the seed decides, so that a
world that shows a fault shows it again.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.simulated_world.weather import Weather

if TYPE_CHECKING:
    from tests.simulated_world.process import Process

#: How many steps without any time in between are one too many.
_SPIN = 20_000
#: What the clocks of the simulated machines say when a world begins.
EPOCH = 1_700_000_000.0


class CrashedError(BaseException):
    """The process of whoever runs this is dead: nothing that it does has an effect."""


class World:
    """The clock, and whose turn it is.

    Args:
        seed: Decides everything that happens here.

    Attributes:
        rng: Where all chance comes from.
        weather: How bad it is while faults go on.
        now: Seconds since the world began.
        current: The process that runs; None for the world itself.
        history: What happened, for people; the same seed gives the same.
        defects: What no process should have raised.
        differences: What a living server knew, and its journal did not add up to.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.weather = Weather.draw(self.rng)
        self.now = 0.0
        self.current: Process | None = None
        self.processes: list[Process] = []
        self.history: list[tuple[float, str, str]] = []
        self.defects: list[str] = []
        self.differences: list[str] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    @property
    def stormy(self) -> bool:
        """Whether faults go on."""
        return self.now < self.weather.faults_end

    def chance(self, share: float) -> bool:
        """Draw whether something happens that happens in a share of all cases."""
        return share > 0 and self.rng.random() < share

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something in so many seconds, in no process."""
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), call))

    def note(self, who: str, what: Any) -> None:
        """Write down what happened."""
        self.history.append((self.now, who, str(what)))

    def action(self, what: str) -> None:
        """The running process is about to do something, or has just done it: it may die there.

        Raises:
            CrashedError: It is dead.
        """
        process = self.current
        if process is None:
            return
        if not process.alive:
            raise CrashedError(what)
        if process.deaths.left > 0 and self.stormy and self.chance(process.deaths.share):
            process.deaths.left -= 1
            process.die(f"at {what}")
            raise CrashedError(what)

    def run(self, until: float, is_over: Callable[[], bool]) -> None:
        """Let time pass until something is over, or the time is."""
        steps, since = 0, self.now
        while not is_over():
            steps, since = (steps + 1, since) if self.now == since else (0, self.now)
            if steps > _SPIN:
                self.defects.append("somebody works without end, and no time passes")
                return
            process, due = self._next_process()
            if self._events and self._events[0][0] <= due:
                due, _, call = heapq.heappop(self._events)
                if due > until:
                    return
                self.now = max(self.now, due)
                call()
            elif process is None or due > until:
                return
            else:
                self.now = max(self.now, due)
                process.step()

    def end(self) -> None:
        """End every process: the world is over."""
        for process in list(self.processes):
            process.ended = _nobody
            process.bury()

    def _next_process(self) -> tuple[Process | None, float]:
        found, earliest = None, math.inf
        for process in self.processes:
            due = process.loop.due()
            if due < earliest:
                found, earliest = process, due
        return found, earliest


def _nobody(_process: Process) -> None:
    """Hear of the end of a process when the world itself ends."""
