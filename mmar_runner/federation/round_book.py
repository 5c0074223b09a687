# SPDX-License-Identifier: Apache-2.0
"""The book of one open round: who works in it, and what has become of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mmar_runner.federation.sites import NO_SITES, Sites

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet


@dataclass(slots=True)
class RoundBook:
    """What is known of an open round.

    Attributes:
        opened_at: When it opened.
        quorum: Of how many sites it needs updates.
        invited: Everyone who was given its model, there or not.
        accepted: Whose update counts.
        failed: Who has failed for good, and why.
        failures: How often its task failed, by client.
        again: How often it was given again for another reason, by client.
        removed: Who was removed from the run, and has not come anew.
        passed: Whose turn went to another, where turns are taken; it may have come back to it.
        late: Who was invited when there were enough updates already.
        enough_at: When the last update of the quorum came; None before.
        closed: Whether it takes no more updates.
        sites: Which site a client is of, and which could still come.
    """

    opened_at: float
    quorum: int
    invited: set[str]
    accepted: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    enough_at: float | None = None
    closed: bool = False
    sites: Sites = NO_SITES

    def accept(self, client: str, now: float) -> None:
        """Count a client's update; a second one changes nothing."""
        self.accepted.add(client)
        self.invited.add(client)
        self.failed.pop(client, None)
        self.removed.discard(client)
        if self.enough_at is None and self.have() >= self.quorum:
            self.enough_at = now

    def withdraw(self, reasons: Mapping[str, str]) -> None:
        """Take updates that cannot be aggregated out again: their clients have failed."""
        for client in self.accepted & reasons.keys():
            self.accepted.discard(client)
            self.failed[client] = reasons[client]
            self.failures[client] = self.failures.get(client, 0) + 1
        self.closed = False
        if self.have() < self.quorum:
            self.enough_at = None

    def leave(self, client: str) -> None:
        """Forget that a client had failed: when it comes back it may be mended, and is lost now."""
        if self.failed.pop(client, None) is not None and client not in self.invited:
            self.passed.add(client)

    def remove(self, client: str) -> None:
        """Take a client and what it sent out; one that comes anew under its name works anew."""
        self.passed.discard(client)
        if client in self.invited - self.removed:
            self.accepted.discard(client)
            self.removed.add(client)
            self.give_again(client)
            if self.have() < self.quorum:
                self.enough_at = None

    def take_back(self, client: str) -> None:
        """Count a client's update no more: it is to send another one."""
        self.accepted.discard(client)
        self.give_again(client)
        if self.have() < self.quorum:
            self.enough_at = None

    def need(self, quorum: int, now: float) -> None:
        """Need updates of so many sites from now on."""
        self.quorum = quorum
        if self.have() < quorum:
            self.enough_at = None
        elif self.enough_at is None:
            self.enough_at = now

    def give_again(self, client: str) -> None:
        """Count one more attempt of a client, which has not failed, or is forgiven."""
        self.failed.pop(client, None)
        self.again[client] = self.again.get(client, 0) + 1

    def pass_turn(self, client: str) -> str:
        """Give the one turn there is to another client, and return who had it.

        That one is asked no more; if the turn comes back to it, it is another attempt.
        """
        (before,) = self.invited
        self.invited = {client}
        self.again[before] = self.again.get(before, 0) + 1
        if before not in self.failed.keys() | self.removed:
            self.passed.add(before)
        return before

    def attempt(self, client: str) -> int:
        """Return the number of the attempt that a client has, or is given next."""
        return 1 + self.failures.get(client, 0) + self.again.get(client, 0)

    def have(self) -> int:
        """Return of how many sites there are updates."""
        return self.sites.count(self.accepted)

    def unanswered(self) -> set[str]:
        """Return everyone invited of whom an update may still come, there or not."""
        return self.invited - self.accepted - self.failed.keys()

    def missing_clients(self) -> list[str]:
        """Return of whom an update is missing, there or not, sorted; not who was removed."""
        return sorted(self.unanswered() - self.removed)

    def awaited(self, active: AbstractSet[str]) -> set[str]:
        """Return everyone there whose update a round with enough of them waits for.

        Not who came, or came back, only then: comings and goings keep no round open.
        """
        return (self.unanswered() & active) - self.late

    def missing(self, active: AbstractSet[str]) -> int:
        """Return how many sites the quorum lacks if all who are there send an update."""
        return self.quorum - self.sites.count(self._expected(active))

    def spare(self, active: AbstractSet[str]) -> set[str]:
        """Return who is there, was not invited, and is of a site that is still lacking."""
        covered = self.sites.of_all(self._expected(active))
        return {c for c in active - self.invited if self.sites.of(c) not in covered}

    def is_stalled(self, active: AbstractSet[str]) -> bool:
        """Return True if the quorum is not there and nobody is at work."""
        return self.enough_at is None and not self.unanswered() & active

    def is_hopeless(self, active: AbstractSet[str], quorum: int | None = None) -> bool:
        """Return True if tasks have failed and the quorum cannot be reached any more.

        Everyone who is there has answered or failed, and even if all who were lost came
        back, and every admitted site that has not come or failed, their updates would be
        too few. Where sites are not known, nobody is expected who never came.

        Args:
            active: Who is there.
            quorum: Which number is meant; None for the round's own.
        """
        if not self.failed or self.unanswered() & active:
            return False
        others = (active | self.passed) - self.invited - self.failed.keys()
        could = self.accepted | self.unanswered() | others
        needed = self.quorum if quorum is None else quorum
        return self.sites.count(could | self.sites.may_come(self.failed)) < needed

    def _expected(self, active: AbstractSet[str]) -> set[str]:
        return self.accepted | (self.unanswered() & active)

    def closes_at(self, wait: float, deadline: float | None) -> float | None:
        """Return when the round closes without those who have not answered.

        Args:
            wait: How long stragglers are waited for once the quorum is there, seconds.
            deadline: How long the round may take once the quorum is there, seconds.

        Returns:
            None as long as the quorum is not there.
        """
        if self.enough_at is None:
            return None
        waited = self.enough_at + wait
        return waited if deadline is None else min(waited, self.opened_at + deadline)
