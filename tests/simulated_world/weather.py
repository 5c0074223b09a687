# SPDX-License-Identifier: Apache-2.0
"""How bad a world is, drawn from its seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

#: Until when faults happen, in seconds.
FAULTS_END = 60.0


@dataclass(frozen=True)
class Weather:
    """What can happen while faults go on; times in seconds, shares from 0 to 1.

    Attributes:
        delay: The longest delay of a message; it alone reorders calls.
        breaks: The share of messages at which their connection breaks.
        duplication: The share of calls of one message that arrive twice.
        thread: The longest time that work in a thread takes.
        journal: The longest time until a journal record is durable.
        training: The longest time that a task takes.
        partitions: How often a client, or everybody, is cut off.
        server_deaths: How often the server may die of something that it does.
        server_crashes: How often it dies at a random time.
        server_stops: How often it is asked to stop.
        client_deaths: How often a client may die of something that it does.
        client_crashes: How often a client dies at a random time.
        client_leaves: How often a client is asked to leave.
        power_cuts: The share of deaths that are the whole machine's.
        full_disks: How often a disk is full for a while.
        spoiled_models: How often the newest model is damaged while the server is down.
        task_failures: The share of tasks that fail.
        poison: The share of updates that are more than the sum can hold.
        removals: How often an administrator removes a client.
        minimums: How often one changes how many updates a round needs.
        given_again: How often one gives a client its task again.
        faults_end: When the world becomes calm.
    """

    delay: float = 0.01
    breaks: float = 0.0
    duplication: float = 0.0
    thread: float = 0.001
    journal: float = 0.005
    training: float = 2.0
    partitions: int = 0
    server_deaths: int = 0
    server_crashes: int = 0
    server_stops: int = 0
    client_deaths: int = 0
    client_crashes: int = 0
    client_leaves: int = 0
    power_cuts: float = 0.0
    full_disks: int = 0
    spoiled_models: int = 0
    task_failures: float = 0.0
    poison: float = 0.0
    removals: int = 0
    minimums: int = 0
    given_again: int = 0
    faults_end: float = 0.0

    @classmethod
    def draw(cls, rng: random.Random) -> Weather:
        """Return the weather of a world; one in eight is calm."""
        if rng.random() < 1 / 8:
            return cls()
        return cls(
            delay=rng.choice([0.005, 0.1, 1.0]),
            breaks=rng.choice([0.0, 0.01, 0.05]),
            duplication=rng.choice([0.0, 0.1, 0.4]),
            thread=rng.choice([0.001, 0.2]),
            journal=rng.choice([0.001, 0.1, 1.5]),
            training=rng.choice([1.0, 6.0]),
            partitions=rng.randrange(3),
            server_deaths=rng.randrange(4),
            server_crashes=rng.randrange(3),
            server_stops=rng.randrange(2),
            client_deaths=rng.randrange(4),
            client_crashes=rng.randrange(3),
            client_leaves=rng.randrange(2),
            power_cuts=rng.choice([0.0, 0.5]),
            full_disks=rng.choice([0, 0, 1, 2]),
            spoiled_models=rng.choice([0, 0, 0, 1]),
            task_failures=rng.choice([0.0, 0.0, 0.0, 0.2]),
            poison=rng.choice([0.0, 0.0, 0.15]),
            removals=rng.choice([0, 0, 1, 3]),
            minimums=rng.choice([0, 0, 1, 3]),
            given_again=rng.choice([0, 0, 1, 3]),
            faults_end=FAULTS_END,
        )
