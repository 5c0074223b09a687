# SPDX-License-Identifier: Apache-2.0
"""What the round machine wants done, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from mmar_runner.federation.run_status import RunEndStatus


@dataclass(frozen=True, slots=True)
class OpenRound:
    """Give the current model to these clients."""

    round: int
    participants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Invite:
    """Give the open round's model to one more client, or once more to one that failed."""

    round: int
    client: str
    attempt: int


@dataclass(frozen=True, slots=True)
class PassTurn:
    """Ask one client in place of another, whose answer counts no more.

    Attributes:
        round: The open round.
        client: Who has the turn now.
        attempt: How often it was given the round's task, this time included.
        before: Who had the turn, and lost it.
    """

    round: int
    client: str
    attempt: int
    before: str


@dataclass(frozen=True, slots=True)
class CloseRound:
    """Take no more updates and aggregate those of these clients, in this order.

    It comes once more for a round in which updates had to be withdrawn.
    """

    round: int
    accepted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Send a Tick at this time; a later SetTimer replaces an earlier one."""

    at: float


@dataclass(frozen=True, slots=True)
class FinishRun:
    """The run is over."""

    status: RunEndStatus
    reason: str


Action: TypeAlias = OpenRound | Invite | PassTurn | CloseRound | SetTimer | FinishRun
