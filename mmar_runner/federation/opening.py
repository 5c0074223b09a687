# SPDX-License-Identifier: Apache-2.0
"""When a round opens, and for whom; with what an earlier process knew of the first one."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Protocol

from mmar_runner.federation.round_book import RoundBook

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from mmar_runner.federation.plan import RunPlan
    from mmar_runner.federation.sites import Sites


class Workflow(Protocol):
    """The policy that says who works; see ``interfaces.workflow.Workflow``."""

    takes_turns: ClassVar[bool]

    def participants(
        self, active: Sequence[str], *, round_number: int, seed: int, per_round: int | None
    ) -> Sequence[str]:
        """Return the clients that work in a round."""
        ...

    def admits_late(self, *, per_round: int | None) -> bool:
        """Return True if a client that joins during a round works in it."""
        ...

    def turn(self, active: Sequence[str], *, after: str | None) -> str:
        """Return whose turn it is, where turns are taken."""
        ...


class Opening:
    """Opens the rounds of one run, one after the other.

    The last six arguments are of an earlier process, and of the first round alone.

    Args:
        plan: What the run is to do.
        workflow: Who works in a round.
        sites: Which site a client is of, and which could still come.
        accepted: Clients whose updates were accepted.
        participants: Clients that were given its model, if it was open: it opens for them.
        failures: How often their tasks had failed.
        again: How often their tasks were given again for another reason.
        removed: Who was removed from the run, and has not come anew.
        last_turn: Whose update the round before was made of, where turns are taken.

    Attributes:
        minimum: Of how many sites a round needs updates; where turns are taken, how many
            clients must be there for the first one.
        last_turn: Whose turn was last, where turns are taken.
    """

    def __init__(
        self,
        plan: RunPlan,
        workflow: Workflow,
        sites: Sites,
        *,
        accepted: Collection[str],
        participants: Collection[str],
        failures: Mapping[str, int],
        again: Mapping[str, int] = MappingProxyType({}),
        removed: Collection[str] = (),
        last_turn: str | None = None,
    ) -> None:
        self.minimum = plan.min_num_clients
        self.last_turn = last_turn
        self._plan = plan
        self._workflow = workflow
        self._sites = sites
        self._accepted = frozenset(accepted)
        self._participants = frozenset(participants)
        self._failures = dict(failures)
        self._again = dict(again)
        self._removed = frozenset(removed)
        self._first = True

    def needed(self, number: int) -> int:
        """Return how many clients must be there for a round to open."""
        least, expected = self.minimum, self._plan.expected_clients
        if self.takes_turns and number > self._plan.start_round:
            return 1
        return max(least, expected) if self._first and expected is not None else least

    def there(self, active: AbstractSet[str]) -> int:
        """Return how many of those whom a round needs to open are there."""
        return self._sites.there(active)

    @property
    def takes_turns(self) -> bool:
        """Whether one client works at a time."""
        return self._workflow.takes_turns

    @property
    def admits_late(self) -> bool:
        """Whether a client that joins during a round works in it."""
        return self._workflow.admits_late(per_round=self._plan.clients_per_round)

    def is_due(self, number: int, active: AbstractSet[str]) -> bool:
        """Return True if the next round is to open, with those who are there."""
        there = self._sites.there(active | self._accepted)
        return bool(self._participants) or there >= self.needed(number)

    def book(self, number: int, active: AbstractSet[str], now: float) -> RoundBook:
        """Return the book of a round that opens; what an earlier process knew is used up.

        Args:
            number: The round.
            active: Who is there.
            now: When.
        """
        invited = (self._resumed(active) or self._chosen(number, active)) | self._accepted
        book = RoundBook(now, self.quorum(invited), set(invited), sites=self._sites)
        for client in self._accepted:
            book.accept(client, now)
        # Of those who have answered, too: an update that is withdrawn has its client asked again.
        known = self._failures.keys() | self._again.keys() if self.takes_turns else invited
        book.failures = {c: self._failures[c] for c in sorted(known & self._failures.keys())}
        book.again = {c: self._again[c] for c in sorted(known & self._again.keys())}
        book.removed = set(invited & self._removed - active)
        if self.takes_turns:  # the turn of whoever was given it anew had gone to another before
            book.passed = set(self._again.keys() - invited - self._removed)
        self._accepted = self._participants = self._removed = frozenset()
        self._failures, self._again, self._first = {}, {}, False
        return book

    def quorum(self, invited: Collection[str], minimum: int | None = None) -> int:
        """Return of how many sites a round needs updates for which these clients were invited.

        Where only some work, of no more than there are; where everybody does, others may come.
        Where turns are taken, one ends a turn.

        Args:
            invited: Who was.
            minimum: Which minimum is meant; None for the one in force.
        """
        if self.takes_turns:
            return 1
        least = self.minimum if minimum is None else minimum
        return max(1, least if self.admits_late else min(least, len(invited)))

    def knows(self, client: str) -> bool:
        """Return whether a client had a part in the first round, which is not open yet."""
        return client in self._accepted | self._participants

    def remove(self, client: str) -> None:
        """Take a client out of what an earlier process knew of the first round."""
        if self.knows(client):
            self._accepted -= {client}
            self._removed |= {client}
            self._again[client] = self._again.get(client, 0) + 1

    def choose(self, number: int, among: AbstractSet[str], per_round: int | None) -> Sequence[str]:
        """Return who of some clients work in a round; of all, or of a number of them."""
        return self._workflow.participants(
            sorted(among), round_number=number, seed=self._plan.seed, per_round=per_round
        )

    def turn(self, among: AbstractSet[str], after: str | None) -> str:
        """Return whose turn it is after somebody's, where turns are taken; of at least one."""
        return self._workflow.turn(sorted(among), after=after)

    def _resumed(self, active: AbstractSet[str]) -> frozenset[str]:
        before = self._participants
        return before | active if before and self.admits_late else before

    def _chosen(self, number: int, active: AbstractSet[str]) -> frozenset[str]:
        if self.takes_turns:
            return frozenset({self.turn(active, self.last_turn)} if active else ())
        return frozenset(self.choose(number, active, self._plan.clients_per_round))
