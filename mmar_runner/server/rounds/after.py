# SPDX-License-Identifier: Apache-2.0
"""What the coordinator knows of what is done between the last round and the run's end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mmar_runner.federation.cross_site import CrossSiteEvent


class AfterRounds(Protocol):
    """What is done once the rounds are, and before the run ends; see `CrossSiteDesk`."""

    @property
    def is_due(self) -> bool:
        """Whether there is something to do."""
        ...

    @property
    def mark(self) -> int:
        """What grows with everything that is done of it."""
        ...

    async def run(self, next_round: int) -> None:
        """Do it."""
        ...

    def handle(self, event: CrossSiteEvent) -> None:
        """Hear who comes and goes."""
        ...

    def waiting_for(self) -> str:
        """Say in one sentence what is waited for."""
        ...

    def missing(self) -> tuple[str, ...]:
        """Return who is waited for."""
        ...


class NothingAfter:
    """Nothing is to be done: the run ends with its last round."""

    is_due = False
    mark = 0

    async def run(self, next_round: int) -> None:
        """Do nothing."""

    def handle(self, event: CrossSiteEvent) -> None:
        """Do nothing."""

    def waiting_for(self) -> str:
        """Wait for nothing."""
        return ""

    def missing(self) -> tuple[str, ...]:
        """Wait for nobody."""
        return ()
