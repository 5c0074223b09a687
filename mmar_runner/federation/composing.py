# SPDX-License-Identifier: Apache-2.0
"""Whether combiners may add a run's updates up: the validator, a server and a combiner ask here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Combination:
    """What of a run decides it.

    Attributes:
        aggregator: The rule's name.
        composes: Whether the rule works on sums of updates.
        takes_turns: Whether one client works at a time.
        waits: Whether clients wait for each other.
        draws: Whether rounds draw some of the clients.
        inbound_filters: Names of the server's filters of updates.
    """

    aggregator: str
    composes: bool
    takes_turns: bool = False
    waits: bool = True
    draws: bool = False
    inbound_filters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why updates cannot be added up below a server.

    Attributes:
        key: What of ``config_fed_server.json`` it comes from.
        why: That, in a sentence without its full stop.
    """

    key: str
    why: str


def obstacles(combination: Combination) -> Iterator[Obstacle]:
    """Yield why updates of a run cannot be added up by combiners; nothing if they can."""
    if not combination.composes:
        name = combination.aggregator
        why = f"{name} needs every site's update: it does not work on sums of them"
        yield Obstacle("aggregator", why)
    if combination.takes_turns:
        yield Obstacle("workflow", "where one client works at a time there is nothing to add up")
    if not combination.waits:
        why = "where clients do not wait for each other, a sum would be of several models"
        yield Obstacle("workflow", why)
    if combination.draws:
        why = "clients_per_round draws among all sites, and a combiner knows its own alone"
        yield Obstacle("clients_per_round", why)
    if combination.inbound_filters:
        names = ", ".join(combination.inbound_filters)
        why = f"{names} of the server's inbound_filters would see sums of updates"
        yield Obstacle("inbound_filters", why)
