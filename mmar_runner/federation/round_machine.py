# SPDX-License-Identifier: Apache-2.0
"""The round machine: takes events, returns actions, and knows nothing else.

A run is a chain of rounds. A round opens when enough clients are there, invites its
participants, and closes once it has enough updates and nobody is worth waiting for.
A failed task is given again a few times; if then the minimum cannot be reached with
everybody who is there, the run has failed, and says whose task failed and why. A lost
client is not a failure: the round stays open and waits for it, or for another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mmar_runner.federation import actions, events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.federation.plan import RunPlan


class Workflow(Protocol):
    """The policy that says who works; see ``interfaces.workflow.Workflow``."""

    def participants(
        self, active: Sequence[str], *, round_number: int, seed: int, per_round: int | None
    ) -> Sequence[str]:
        """Return the clients that work in a round."""
        ...

    def admits_late(self, *, per_round: int | None) -> bool:
        """Return True if a client that joins during a round works in it."""
        ...


@dataclass(slots=True)
class _Round:
    """The open round."""

    opened_at: float
    invited: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    enough_at: float | None = None
    closed: bool = False


class RoundMachine:
    """Decides the rounds of one run.

    Args:
        plan: What the run is to do.
        workflow: Who works in a round.
        first_round: The round to begin with, if not the plan's.
        accepted: Clients whose updates of that round were accepted before.
    """

    def __init__(
        self,
        plan: RunPlan,
        workflow: Workflow,
        *,
        first_round: int | None = None,
        accepted: Sequence[str] = (),
    ) -> None:
        self._plan = plan
        self._workflow = workflow
        self._next_round = plan.start_round if first_round is None else first_round
        self._carried = set(accepted)
        self._first = True
        self._active: set[str] = set()
        self._open: _Round | None = None
        self._ended = False

    @property
    def round(self) -> int:
        """The round that is open, or that opens next."""
        return self._next_round

    def handle(self, event: events.Event, now: float) -> list[actions.Action]:
        """Take one event and return what is to be done, in order.

        Args:
            event: What happened.
            now: When, in seconds of any clock that does not run backwards.
        """
        if self._ended:
            return []
        match event:
            case events.ClientJoined(client):
                done = self._joined(client)
            case events.ClientLeft(client):
                done = self._left(client)
            case events.UpdateAccepted(client, number):
                done = self._accepted(client, number, now)
            case events.UpdateFailed(client, number, reason):
                done = self._failed(client, number, reason)
            case events.Aggregated(number):
                done = self._aggregated(number)
            case events.StopRequested(reason):
                return [self._finish("stopped", reason)]
            case events.Tick():
                done = []
        return [*done, *self._advance(now)]

    def waiting_for(self) -> str:
        """Say in one sentence what the run waits for; empty if it has ended."""
        if self._ended:
            return ""
        current = self._open
        if current is None:
            there = f"{len(self._active)} of {self._needed_to_open()} clients are there"
            return f"round {self._next_round}: {there}"
        if current.closed:
            return f"round {self._next_round}: aggregating {len(current.accepted)} updates"
        missing = sorted(current.invited - current.accepted - set(current.failed))
        have = f"{len(current.accepted)} of {self._plan.min_num_clients} updates"
        names = f"; missing {', '.join(missing)}" if missing else "; nobody is there to send one"
        return f"round {self._next_round}: {have}{names}"

    # Events

    def _joined(self, client: str) -> list[actions.Action]:
        self._active.add(client)
        current = self._open
        if current is None or current.closed or client in current.accepted:
            return []
        late = self._workflow.admits_late(per_round=self._plan.clients_per_round)
        if client in current.invited or late or self._short_of(current):
            return [self._invite(current, client)]
        return []

    def _left(self, client: str) -> list[actions.Action]:
        self._active.discard(client)
        current = self._open
        if current is None or current.closed:
            return []
        current.failed.pop(client, None)
        if client in current.accepted or client not in current.invited:
            return []
        return self._replace(current)

    def _accepted(self, client: str, number: int, now: float) -> list[actions.Action]:
        current = self._open
        if current is None or current.closed or number != self._next_round:
            return []
        current.accepted.add(client)
        current.failed.pop(client, None)
        if current.enough_at is None and len(current.accepted) >= self._plan.min_num_clients:
            current.enough_at = now
        return []

    def _failed(self, client: str, number: int, reason: str) -> list[actions.Action]:
        current = self._open
        if current is None or current.closed or number != self._next_round:
            return []
        if client in current.accepted:
            return []
        attempt = current.attempts.get(client, 1)
        if attempt < self._plan.task_attempts:
            current.attempts[client] = attempt + 1
            return [self._invite(current, client)]
        current.failed[client] = reason
        return self._replace(current)

    def _aggregated(self, number: int) -> list[actions.Action]:
        current = self._open
        if current is None or not current.closed or number != self._next_round:
            return []
        self._open = None
        self._next_round += 1
        return []

    # Decisions

    def _advance(self, now: float) -> list[actions.Action]:
        if self._open is None:
            return self._advance_closed(now)
        return self._advance_open(self._open, now)

    def _advance_closed(self, now: float) -> list[actions.Action]:
        if 0 <= self._plan.num_rounds <= self._next_round:
            return [self._finish("finished", "")]
        if len(self._active | self._carried) < self._needed_to_open():
            return []
        return self._open_round(now)

    def _open_round(self, now: float) -> list[actions.Action]:
        per_round = self._plan.clients_per_round
        chosen = self._workflow.participants(
            sorted(self._active),
            round_number=self._next_round,
            seed=self._plan.seed,
            per_round=per_round,
        )
        current = _Round(now, invited=set(chosen) | self._carried, accepted=set(self._carried))
        if len(current.accepted) >= self._plan.min_num_clients:
            current.enough_at = now
        self._open, self._carried, self._first = current, set(), False
        participants = tuple(sorted(current.invited))
        opening: list[actions.Action] = [actions.OpenRound(self._next_round, participants)]
        if self._plan.round_deadline is not None:
            opening.append(actions.SetTimer(now + self._plan.round_deadline))
        return [*opening, *self._advance_open(current, now)]

    def _advance_open(self, current: _Round, now: float) -> list[actions.Action]:
        if current.closed:
            return []
        pending = (current.invited & self._active) - current.accepted - set(current.failed)
        if current.enough_at is None:
            return self._give_up(current) if self._is_hopeless(current, pending) else []
        closes_at = current.enough_at + self._plan.wait_after_min_clients
        if self._plan.round_deadline is not None:
            closes_at = min(closes_at, current.opened_at + self._plan.round_deadline)
        if pending and now < closes_at:
            return [actions.SetTimer(closes_at)]
        current.closed = True
        return [actions.CloseRound(self._next_round, tuple(sorted(current.accepted)))]

    def _is_hopeless(self, current: _Round, pending: set[str]) -> bool:
        """Everyone who is there has answered, some have failed, and it is not enough."""
        spare = self._active - current.invited
        return bool(current.failed) and not pending and not spare

    def _give_up(self, current: _Round) -> list[actions.Action]:
        causes = "; ".join(f"{name}: {why}" for name, why in sorted(current.failed.items()))
        have = f"{len(current.accepted)} of {self._plan.min_num_clients} updates"
        return [self._finish("failed", f"round {self._next_round} has {have}; {causes}")]

    def _replace(self, current: _Round) -> list[actions.Action]:
        """Invite one more client if those who may still answer are too few."""
        if not self._short_of(current):
            return []
        spare = sorted(self._active - current.invited)
        if not spare:
            return []
        chosen = self._workflow.participants(
            spare, round_number=self._next_round, seed=self._plan.seed, per_round=1
        )
        return [self._invite(current, client) for client in chosen[:1]]

    def _short_of(self, current: _Round) -> bool:
        able = ((current.invited & self._active) - set(current.failed)) | current.accepted
        wanted = self._plan.clients_per_round or self._plan.min_num_clients
        return len(able) < max(wanted, self._plan.min_num_clients)

    def _invite(self, current: _Round, client: str) -> actions.Invite:
        current.invited.add(client)
        return actions.Invite(self._next_round, client, current.attempts.setdefault(client, 1))

    def _needed_to_open(self) -> int:
        expected = self._plan.expected_clients if self._first else None
        return max(self._plan.min_num_clients, expected or 0)

    def _finish(self, status: actions.Status, reason: str) -> actions.FinishRun:
        self._ended = True
        return actions.FinishRun(status, reason)
