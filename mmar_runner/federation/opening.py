# SPDX-License-Identifier: Apache-2.0
"""When a round opens, and for whom; with what an earlier process knew of the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mmar_runner.federation.round_book import RoundBook

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from mmar_runner.federation.plan import RunPlan
    from mmar_runner.federation.sites import Sites


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


class Opening:
    """Opens the rounds of one run, one after the other.

    The last three arguments are of an earlier process, and of the first round alone.

    Args:
        plan: What the run is to do.
        workflow: Who works in a round.
        sites: Which site a client is of, and which could still come.
        accepted: Clients whose updates were accepted.
        participants: Clients that were given its model, if it was open: it opens for them.
        failures: How often their tasks had failed.
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
    ) -> None:
        self._plan = plan
        self._workflow = workflow
        self._sites = sites
        self._accepted = frozenset(accepted)
        self._participants = frozenset(participants)
        self._failures = dict(failures)
        self._first = True

    @property
    def needed(self) -> int:
        """How many clients must be there."""
        least, expected = self._plan.min_num_clients, self._plan.expected_clients
        return max(least, expected) if self._first and expected is not None else least

    @property
    def admits_late(self) -> bool:
        """Whether a client that joins during a round works in it."""
        return self._workflow.admits_late(per_round=self._plan.clients_per_round)

    def is_due(self, active: AbstractSet[str]) -> bool:
        """Return True if the next round is to open, with those who are there."""
        return bool(self._participants) or len(active | self._accepted) >= self.needed

    def book(self, number: int, active: AbstractSet[str], now: float) -> RoundBook:
        """Return the book of a round that opens; what an earlier process knew is used up.

        Args:
            number: The round.
            active: Who is there.
            now: When.
        """
        invited = (self._resumed(active) or self._chosen(number, active)) | self._accepted
        quorum = max(1, min(self._plan.min_num_clients, len(invited)))
        book = RoundBook(now, quorum, set(invited), sites=self._sites)
        for client in self._accepted:
            book.accept(client, now)
        # Of those who have answered, too: an update that is withdrawn has its client asked again.
        failed = sorted(invited & self._failures.keys())
        book.attempts = {client: self._failures[client] + 1 for client in failed}
        self._accepted = self._participants = frozenset()
        self._failures, self._first = {}, False
        return book

    def choose(self, number: int, among: AbstractSet[str], per_round: int | None) -> Sequence[str]:
        """Return who of some clients work in a round; of all, or of a number of them."""
        return self._workflow.participants(
            sorted(among), round_number=number, seed=self._plan.seed, per_round=per_round
        )

    def _resumed(self, active: AbstractSet[str]) -> frozenset[str]:
        before = self._participants
        return before | active if before and self.admits_late else before

    def _chosen(self, number: int, active: AbstractSet[str]) -> frozenset[str]:
        return frozenset(self.choose(number, active, self._plan.clients_per_round))
