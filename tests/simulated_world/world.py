# SPDX-License-Identifier: Apache-2.0
"""A world in one thread: a clock, a network that misbehaves, and a disk that forgets.

Everything random comes from one seed, so a world that shows a fault shows it again.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mmar_runner.storage.journal import JournalEvent


@dataclass(frozen=True)
class Weather:
    """How bad a world is while faults go on, drawn from its seed.

    Attributes:
        loss: The share of messages that never arrive.
        duplication: The share that arrive twice.
        delay: The longest delay of a message in seconds; it alone reorders.
        disk: The longest time until a journal record is durable.
        partitions: How often a client is cut off.
        client_crashes: How often a client dies.
        server_crashes: How often the server dies.
        server_stops: How often the server is asked to stop.
        task_failures: The share of tasks that fail.
    """

    loss: float
    duplication: float
    delay: float
    disk: float
    partitions: int
    client_crashes: int
    server_crashes: int
    server_stops: int
    task_failures: float

    @classmethod
    def draw(cls, rng: random.Random) -> Weather:
        """Return the weather of a world; one in eight is calm."""
        if rng.random() < 1 / 8:
            return cls(0, 0, 0.01, 0.01, 0, 0, 0, 0, 0)
        return cls(
            loss=rng.choice([0, 0.05, 0.3]),
            duplication=rng.choice([0, 0.1, 0.5]),
            delay=rng.choice([0.01, 0.5, 3.0]),
            disk=rng.choice([0.01, 0.5, 3.0]),
            partitions=rng.randrange(4),
            client_crashes=rng.randrange(5),
            server_crashes=rng.randrange(5),
            server_stops=rng.randrange(2),
            task_failures=rng.choice([0, 0, 0, 0.2]),
        )


class World:
    """The clock and the network.

    Args:
        seed: Decides everything that happens here.
        faults_end: When the weather becomes calm, in seconds.
    """

    def __init__(self, seed: int, faults_end: float) -> None:
        self.rng = random.Random(seed)
        self.weather = Weather.draw(self.rng)
        self.faults_end = faults_end
        self.now = 0.0
        self.cut_off: dict[str, float] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something in so many seconds."""
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), call))

    def send(self, client: str, deliver: Callable[[], None]) -> None:
        """Carry a message from or to a client, perhaps."""
        stormy = self.now < self.faults_end
        if stormy and self.rng.random() < self.weather.loss:
            return
        copies = 2 if stormy and self.rng.random() < self.weather.duplication else 1
        for _ in range(copies):
            delay = self.rng.uniform(0.001, self.weather.delay if stormy else 0.01)
            self.later(delay, lambda: self._arrive(client, deliver))

    def run(self, until: float, is_over: Callable[[], bool]) -> None:
        """Let time pass until something is over, or the time is."""
        while self._events and not is_over():
            at, _, call = heapq.heappop(self._events)
            if at > until:
                return
            self.now = at
            call()

    def _arrive(self, client: str, deliver: Callable[[], None]) -> None:
        if self.now >= self.cut_off.get(client, 0.0):
            deliver()


@dataclass
class Disk:
    """What the server finds again after a crash.

    A journal record becomes durable some time after it was appended, in order; a crash
    loses an end of those that are not. A file is there as soon as it was written.
    """

    world: World
    journal: list[JournalEvent] = field(default_factory=list)
    models: dict[int, str] = field(default_factory=dict)
    updates: dict[tuple[int, str], str] = field(default_factory=dict)
    _pending: list[tuple[JournalEvent, Callable[[], None]]] = field(default_factory=list)
    _flushing: bool = False
    _epoch: int = 0

    def append(self, kind: str, data: Mapping[str, Any], done: Callable[[], None]) -> None:
        """Append a record; ``done`` is called once it is durable, if the process lives."""
        seq = len(self.journal) + len(self._pending) + 1
        self._pending.append((JournalEvent(seq, self.world.now, kind, dict(data)), done))
        if not self._flushing:
            self._flushing = True
            epoch = self._epoch
            seconds = self.world.rng.uniform(0.0001, self.world.weather.disk)
            self.world.later(seconds, lambda: self._flush(epoch))

    def crash(self) -> None:
        """Lose what is not durable, but for a beginning of it."""
        kept = self.world.rng.randint(0, len(self._pending))
        self.journal += [event for event, _ in self._pending[:kept]]
        self._pending.clear()
        self._flushing = False
        self._epoch += 1

    def _flush(self, epoch: int) -> None:
        if epoch != self._epoch:
            return
        batch, self._pending, self._flushing = self._pending, [], False
        self.journal += [event for event, _ in batch]
        for _, done in batch:
            done()
