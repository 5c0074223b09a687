# SPDX-License-Identifier: Apache-2.0
"""The book of one open round: who works in it, and what has become of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet


@dataclass(slots=True)
class RoundBook:
    """What is known of an open round.

    Attributes:
        opened_at: When it opened.
        quorum: How many updates it needs.
        invited: Everyone who was given its model, there or not.
        accepted: Whose update counts.
        failed: Who has failed for good, and why.
        attempts: How often the task was given, by client.
        late: Who was invited when there were enough updates already.
        enough_at: When the last update of the quorum came; None before.
        closed: Whether it takes no more updates.
    """

    opened_at: float
    quorum: int
    invited: set[str]
    accepted: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    enough_at: float | None = None
    closed: bool = False

    def accept(self, client: str, now: float) -> None:
        """Count a client's update; a second one changes nothing."""
        self.accepted.add(client)
        self.invited.add(client)
        self.failed.pop(client, None)
        if self.enough_at is None and len(self.accepted) >= self.quorum:
            self.enough_at = now

    def unanswered(self) -> set[str]:
        """Return everyone invited of whom an update may still come, there or not."""
        return self.invited - self.accepted - self.failed.keys()

    def awaited(self, active: AbstractSet[str]) -> set[str]:
        """Return everyone there whose update a round with enough of them waits for.

        Not who came, or came back, only then: comings and goings keep no round open.
        """
        return (self.unanswered() & active) - self.late

    def missing(self, active: AbstractSet[str]) -> int:
        """Return how many updates the quorum lacks if all who are there send one."""
        return self.quorum - len(self.accepted | (self.unanswered() & active))

    def is_hopeless(self, active: AbstractSet[str]) -> bool:
        """Return True if tasks have failed and the quorum cannot be reached any more.

        Everyone who is there has answered or failed, and even if all who were lost came
        back, their updates would be too few. Clients that were merely lost are waited
        for, and so is anybody who has not been invited yet.
        """
        if not self.failed or self.unanswered() & active or active - self.invited:
            return False
        return len(self.accepted) + len(self.unanswered()) < self.quorum

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
