# SPDX-License-Identifier: Apache-2.0
"""What can happen to a run, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class ClientJoined:
    """A client is there that was not."""

    client: str


@dataclass(frozen=True, slots=True)
class ClientLeft:
    """A client quit or was lost."""

    client: str
    reason: str


@dataclass(frozen=True, slots=True)
class ClientRemoved:
    """An administrator removed a client, and what it sent for the open round with it."""

    client: str


@dataclass(frozen=True, slots=True)
class MinimumChanged:
    """An administrator changed of how many sites a round needs updates."""

    number: int


@dataclass(frozen=True, slots=True)
class TaskGivenAgain:
    """An administrator wants a client to have its task of the open round again."""

    client: str


@dataclass(frozen=True, slots=True)
class UpdateTakenBack:
    """A combiner's sum does not count any more: it is to send another one for the round.

    Attributes:
        client: Whose it is.
        round: The open round.
    """

    client: str
    round: int


@dataclass(frozen=True, slots=True)
class UpdateAccepted:
    """A client's update for a round was accepted."""

    client: str
    round: int


@dataclass(frozen=True, slots=True)
class UpdateFailed:
    """A client could not do its task, or its update was not usable."""

    client: str
    round: int
    reason: str


@dataclass(frozen=True, slots=True)
class UpdatesWithdrawn:
    """The round that was closed cannot be aggregated with these clients' updates.

    Attributes:
        round: The round.
        reasons: Why not, by client.
    """

    round: int
    reasons: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Aggregated:
    """The round that was closed has become the next model.

    Attributes:
        round: The round.
        following: Whose model that is; None for the next round's. A combiner's parent may have
            closed rounds without it.
    """

    round: int
    following: int | None = None


@dataclass(frozen=True, slots=True)
class RoundPassed:
    """What a round was opened for has gone on without it: nobody waits for its updates.

    It happens to combiners alone, whose rounds are their parents'.
    """

    round: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Whoever runs the server wants it to stop; the run can be resumed."""

    reason: str


Event: TypeAlias = (
    ClientJoined
    | ClientLeft
    | ClientRemoved
    | MinimumChanged
    | TaskGivenAgain
    | UpdateTakenBack
    | UpdateAccepted
    | UpdateFailed
    | UpdatesWithdrawn
    | Aggregated
    | RoundPassed
    | Tick
    | StopRequested
)
