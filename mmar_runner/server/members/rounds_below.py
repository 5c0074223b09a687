# SPDX-License-Identifier: Apache-2.0
"""A combiner's rounds and clients, as whoever stands above them decides and looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.server.members.below import below_of

if TYPE_CHECKING:
    from mmar_runner.federation.assignment import Expected
    from mmar_runner.federation.run_status import RunEndStatus
    from mmar_runner.server.members.members import Members
    from mmar_runner.server.members.registry import SiteBelow
    from mmar_runner.server.rounds.coordinator import Coordinator

_ELSEWHERE: Final = "its parent assigned it to another combiner"


class RoundsBelow:
    """The rounds of a combiner: see `mmar_runner.server.upstream.Rounds`.

    Args:
        coordinator: Runs them.
        members: Know its clients.
    """

    def __init__(self, coordinator: Coordinator, members: Members) -> None:
        self._coordinator = coordinator
        self._members = members

    @property
    def next_round(self) -> int:
        """The round that is open, or that opens next."""
        return self._coordinator.next_round

    def pass_round(self) -> None:
        """Nobody waits for the updates of that round any more."""
        self._coordinator.pass_round()

    def end(self, status: RunEndStatus, reason: str) -> None:
        """The run has ended above."""
        self._coordinator.end(status, reason)

    def expect(self, expected: Expected) -> None:
        """The parent has assigned clients to this combiner, and needs updates of some of them."""
        self._coordinator.need(expected.needed)
        self._members.tree.expected = expected.sites
        self._members.let_go(set(self._members.present()) - expected.sites, _ELSEWHERE)

    def sites(self) -> list[SiteBelow]:
        """Return what its sites do, and those below other combiners."""
        there = filter(None, map(self._members.known, self._members.present()))
        return [one for client in there for one in below_of(client)]
