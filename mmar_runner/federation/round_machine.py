# SPDX-License-Identifier: Apache-2.0
"""The round machine: takes events, returns actions, and knows nothing else.

A run is a chain of rounds. A round opens when enough clients are there, invites its
participants, and closes once it has enough updates and nobody is worth waiting for.
A failed task is given again a few times; if then the minimum cannot be reached with
everybody who is there or could still come, the run has failed, and says whose task failed
and why. A lost client is not a failure: the round stays open and waits for it, or for
another. The minimum counts sites: a site's further instances work, but stand for nobody.

Whoever feeds the machine hands over `UpdateAccepted` in the same step in which the
update's record is put into the journal, before the client is told: then no update is
acknowledged that a closing round leaves out.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from mmar_runner.federation import actions, events
from mmar_runner.federation.opening import Opening
from mmar_runner.federation.run_status import RunEndStatus, RunStatus
from mmar_runner.federation.sites import NO_SITES, Sites

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from mmar_runner.federation.opening import Workflow
    from mmar_runner.federation.plan import RunPlan
    from mmar_runner.federation.round_book import RoundBook

#: A run waits for clients to open a round, for updates to close it, for its aggregate, or,
#: after the last, for cross-site validation.
Phase: TypeAlias = Literal["clients", "updates", "aggregation", "validation", "over"]


class RoundMachine:
    """Decides the rounds of one run.

    The last nine arguments are for a server that takes up an unfinished run.

    Args:
        plan: What the run is to do.
        workflow: Who works in a round.
        sites: Which site a client is of, and which could still come.
        first_round: The round to begin with, if not the plan's.
        accepted: Clients whose updates of that round were accepted before.
        active: Clients that are taken to be there until they are said to have left.
        participants: Clients that were given that round's model, if it was open; it
            then opens again at the first event, for them.
        failures: How often their tasks had failed in that round; attempts are counted
            on from there, so that a client can tell a new one from one it has had.
        again: How often their tasks were given again for another reason, likewise.
        removed: Who was removed from the run by an administrator, and has not come anew.
        last_turn: Whose update the round before was made of, where turns are taken.
        sealed: Whether what its updates add up to has left a combiner: the round opens closed,
            with these updates alone.
    """

    def __init__(
        self,
        plan: RunPlan,
        workflow: Workflow,
        *,
        sites: Sites = NO_SITES,
        first_round: int | None = None,
        accepted: Collection[str] = (),
        active: Collection[str] = (),
        participants: Collection[str] = (),
        failures: Mapping[str, int] = MappingProxyType({}),
        again: Mapping[str, int] = MappingProxyType({}),
        removed: Collection[str] = (),
        last_turn: str | None = None,
        sealed: bool = False,
    ) -> None:
        self._plan = plan
        self._opening = Opening(
            plan,
            workflow,
            sites,
            accepted=accepted,
            participants=participants,
            failures=failures,
            again=again,
            removed=removed,
            last_turn=last_turn,
        )
        self._next_round = plan.start_round if first_round is None else first_round
        self._active: set[str] = set(active)
        self._open: RoundBook | None = None
        self._sealed = sealed
        self._timer: float | None = None
        self._ended = False

    @property
    def round(self) -> int:
        """The round that is open, or that opens next."""
        return self._next_round

    @property
    def minimum(self) -> int:
        """Of how many sites a round needs updates, as it is in force."""
        return self._opening.minimum

    @property
    def stalled(self) -> bool:
        """Whether a round is open that lacks updates and in which nobody is at work."""
        book = self._open
        waits = book is not None and not book.closed and book.is_stalled(self._active)
        return waits and not self._ended

    @property
    def phase(self) -> Phase:
        """What the run is at: what it waits for, in one word."""
        if self._ended:
            return "over"
        if self._open is None:
            return "clients"
        return "aggregation" if self._open.closed else "updates"

    def missing(self) -> tuple[str, ...]:
        """Return of whom the open round has no answer, there or not, sorted."""
        book = self._open
        return () if book is None or book.closed else tuple(book.missing_clients())

    def failed(self) -> frozenset[str]:
        """Return whose task of the open round has failed for good."""
        return frozenset() if self._open is None else frozenset(self._open.failed)

    def present(self) -> list[str]:
        """Return who is there, sorted."""
        return sorted(self._active)

    def works(self, client: str) -> bool:
        """Return whether a client has a part in the round, while that takes answers."""
        book = self._open
        if book is None:
            return self._opening.knows(client)
        return not book.closed and client in book.invited - book.removed

    def can_reach(self, minimum: int) -> bool:
        """Return whether the open round could still reach another minimum; if none is, True."""
        book = self._open
        if book is None or book.closed:
            return True
        return not book.is_hopeless(self._active, self._opening.quorum(book.invited, minimum))

    def handle(self, event: events.Event, now: float) -> list[actions.Action]:
        """Take one event and return what is to be done, in order.

        Args:
            event: What happened.
            now: When, in seconds of any clock that does not run backwards.
        """
        if self._ended:
            return []
        if isinstance(event, events.StopRequested):
            return [self._finish(RunStatus.STOPPED, event.reason)]
        return [*self._take(event, now), *self._advance(now)]

    def waiting_for(self, describe: Callable[[str], str] | None = None) -> str:
        """Say in one sentence what the run waits for; empty if it has ended.

        Args:
            describe: Returns what is said of a client of whom an update is missing; None
                says its name.
        """
        if self._ended:
            return ""
        book = self._open
        if book is None:
            there = self._opening.there(self._active)
            needed = self._opening.needed(self._next_round)
            return f"round {self._next_round}: {there} of {needed} clients are there"
        if book.closed:
            return f"round {self._next_round}: aggregating {len(book.accepted)} updates"
        between = ", " if describe is None else "; "
        missing = between.join(map(describe or str, self.missing()))
        names = f"; missing {missing}" if missing else "; nobody is there to send one"
        failed = f"; failed {', '.join(sorted(book.failed))}" if book.failed else ""
        return f"round {self._next_round}: {_have(book)}{names}{failed}"

    # Events

    def _take(self, event: events.Event, now: float) -> list[actions.Action]:
        match event:
            case events.ClientJoined(client):
                return self._joined(client)
            case events.ClientLeft(client):
                self._left(client)
            case events.UpdateAccepted(client, number):
                if (book := self._open_for(number)) is not None:
                    book.accept(client, now)
            case events.UpdateFailed(client, number, reason):
                return self._failed(client, number, reason)
            case events.UpdatesWithdrawn(number, reasons):
                return self._withdrawn(number, reasons)
            case events.Aggregated(number, following):
                self._aggregated(number, following)
            case events.RoundPassed(number):
                return self._passed(number, now)
            case events.Tick():
                self._timer = None  # it may have come a moment early; then it is set again
            case _:
                return self._take_decision(event, now)
        return []

    def _take_decision(self, event: events.Event, now: float) -> list[actions.Action]:
        """Take what an administrator has decided."""
        match event:
            case events.ClientRemoved(client):
                self._removed(client)
            case events.MinimumChanged(number):
                self._change_minimum(number, now)
            case events.TaskGivenAgain(client):
                return self._given_again(client)
            case events.UpdateTakenBack(client, number):
                return self._taken_back(client, number)
        return []

    def _joined(self, client: str) -> list[actions.Action]:
        if client in self._active:
            return []
        self._active.add(client)
        book = self._open
        if book is not None:
            book.removed.discard(client)
        if book is None or book.closed or client in book.accepted:
            return []
        if book.enough_at is not None:
            book.late.add(client)
        works = client in book.invited or self._opening.admits_late
        return [self._invite(book, client)] if works else []

    def _left(self, client: str) -> None:
        self._active.discard(client)
        if self._open is not None:
            self._open.leave(client)

    def _removed(self, client: str) -> None:
        """Go on without a client; of a round that is being added up it stays a part."""
        self._active.discard(client)
        if self._open is None:
            self._opening.remove(client)
        elif not self._open.closed:
            self._open.remove(client)
            self._open.failed.pop(client, None)

    def _change_minimum(self, number: int, now: float) -> None:
        self._opening.minimum = number
        if self._open is not None:
            self._open.need(self._opening.quorum(self._open.invited), now)

    def _given_again(self, client: str) -> list[actions.Action]:
        book = self._open
        if book is None or not self.works(client) or client in book.accepted:
            return []
        book.give_again(client)
        return [self._invite(book, client)] if client in self._active else []

    def _taken_back(self, client: str, number: int) -> list[actions.Action]:
        book = self._open_for(number)
        if book is None or client not in book.accepted:
            return []
        book.take_back(client)
        return [self._invite(book, client)] if client in self._active else []

    def _failed(self, client: str, number: int, reason: str) -> list[actions.Action]:
        book = self._open_for(number)
        if book is None or client not in book.unanswered():
            return []
        book.failures[client] = book.failures.get(client, 0) + 1
        return self._try_again(book, client, reason)

    def _try_again(self, book: RoundBook, client: str, reason: str) -> list[actions.Action]:
        """Give a task again that has failed, or give its client up if it failed too often."""
        if book.failures[client] >= self._plan.task_attempts:
            book.failed[client] = reason
            return []
        book.failed.pop(client, None)
        return [self._invite(book, client)]

    def _withdrawn(self, number: int, reasons: Mapping[str, str]) -> list[actions.Action]:
        """Go on without updates; whose they are may try again if too few are left."""
        book = self._open
        if book is None or not book.closed or number != self._next_round:
            return []
        reasons = {client: reasons[client] for client in sorted(book.accepted & reasons.keys())}
        book.withdraw(reasons)
        again: list[actions.Action] = []
        for client, reason in reasons.items():
            if client not in self._active:
                self._left(client)
            elif book.enough_at is None:
                again += self._try_again(book, client, reason)
        return again

    def _passed(self, number: int, now: float) -> list[actions.Action]:
        """Close a round as it is, though it be short of updates, or not even open."""
        if number != self._next_round or (self._open is not None and self._open.closed):
            return []
        return self._closed_at_once(now) if self._open is None else [self._close(self._open)]

    def _closed_at_once(self, now: float) -> list[actions.Action]:
        """Open a round for nobody else than those whose updates count, and close it."""
        book = self._open = self._opening.book(self._next_round, self._active, now)
        book.invited = set(book.accepted)
        opened = actions.OpenRound(self._next_round, tuple(sorted(book.accepted)))
        return [opened, self._close(book)]

    def _close(self, book: RoundBook) -> actions.Action:
        book.closed = True
        return actions.CloseRound(self._next_round, tuple(sorted(book.accepted)))

    def _aggregated(self, number: int, following: int | None) -> None:
        if self._open is not None and self._open.closed and number == self._next_round:
            # Where turns are taken there is one, and elsewhere nobody asks.
            self._opening.last_turn = max(self._open.accepted, default=None)
            self._open = None
            self._timer = None
            self._next_round = number + 1 if following is None else following

    def _open_for(self, number: int) -> RoundBook | None:
        """Return the open round, if it is that one and takes answers."""
        book = self._open
        return None if book is None or book.closed or number != self._next_round else book

    # Decisions

    def _advance(self, now: float) -> list[actions.Action]:
        if self._open is not None:
            return [] if self._open.closed else self._advance_open(self._open, now)
        if 0 <= self._plan.num_rounds <= self._next_round:
            return [self._finish(RunStatus.FINISHED, "")]
        return self._open_round(now) if self._opening.is_due(self._next_round, self._active) else []

    def _open_round(self, now: float) -> list[actions.Action]:
        if self._sealed:
            self._sealed = False
            return self._closed_at_once(now)
        book = self._open = self._opening.book(self._next_round, self._active, now)
        again = [c for c in book.missing_clients() if book.attempt(c) > 1]
        opening: list[actions.Action] = [
            actions.OpenRound(self._next_round, tuple(sorted(book.invited))),
            *(self._invite(book, client) for client in again),
        ]
        if self._plan.round_deadline is not None:
            opening += self._set_timer(now + self._plan.round_deadline)
        return [*opening, *self._advance_open(book, now)]

    def _advance_open(self, book: RoundBook, now: float) -> list[actions.Action]:
        closes_at = book.closes_at(self._plan.wait_after_min_clients, self._plan.round_deadline)
        if closes_at is None and self._opening.takes_turns:
            return self._pass_turn(book)
        if closes_at is None:
            replacements = self._replacements(book)
            return [self._give_up(book)] if book.is_hopeless(self._active) else replacements
        if book.awaited(self._active) and now < closes_at:
            return self._set_timer(closes_at)
        return [self._close(book)]

    def _replacements(self, book: RoundBook) -> list[actions.Action]:
        """Invite others if those who may still answer are too few."""
        missing = book.missing(self._active)
        if missing <= 0 or not (spare := book.spare(self._active)):
            return []
        chosen = self._opening.choose(self._next_round, spare, missing)
        return [self._invite(book, client) for client in chosen]

    def _pass_turn(self, book: RoundBook) -> list[actions.Action]:
        """Give the turn to the next if whoever has it was lost, or has failed for good."""
        if book.unanswered() & self._active:
            return []
        candidates = self._active - book.failed.keys()
        if not candidates:
            return [self._give_up(book)] if book.is_hopeless(self._active) else []
        (holder,) = book.invited
        client = self._opening.turn(candidates, holder)
        before = book.pass_turn(client)
        return [actions.PassTurn(self._next_round, client, book.attempt(client), before)]

    def _give_up(self, book: RoundBook) -> actions.FinishRun:
        whose: dict[str, list[str]] = {}
        for name, why in sorted(book.failed.items()):
            whose.setdefault(why, []).append(name)
        causes = "; ".join(f"{', '.join(names)}: {why}" for why, names in whose.items())
        reason = f"round {self._next_round} has {_have(book)}; {causes}"
        return self._finish(RunStatus.FAILED, reason)

    def _invite(self, book: RoundBook, client: str) -> actions.Invite:
        book.invited.add(client)
        return actions.Invite(self._next_round, client, book.attempt(client))

    def _set_timer(self, at: float) -> list[actions.Action]:
        if at == self._timer:
            return []
        self._timer = at
        return [actions.SetTimer(at)]

    def _finish(self, status: RunEndStatus, reason: str) -> actions.FinishRun:
        self._ended = True
        return actions.FinishRun(status, reason)


def _have(book: RoundBook) -> str:
    instances = max(0, len(book.accepted) - book.have())  # a combiner is of many sites
    further = f" and {instances} of further instances" if instances else ""
    return f"{book.have()} of {book.quorum} updates{further}"
