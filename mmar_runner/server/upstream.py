# SPDX-License-Identifier: Apache-2.0
"""A server that is a combiner, as the server's room sees it: somebody above gives the models.

Everything else of a run stays as it is. What a round's updates add up to goes up instead of
becoming a model, and the next model comes down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.federation.assignment import Expected
    from mmar_runner.federation.run_status import RunEndStatus
    from mmar_runner.interfaces.aggregator import UpdateKind
    from mmar_runner.interfaces.update import Part
    from mmar_runner.server.members.registry import SiteBelow


@dataclass(frozen=True, slots=True)
class GivenModel:
    """A model that came from above.

    Attributes:
        round: The round whose model it is.
        path: Where it lies, until the next one is asked for.
        sha256: Of the file, hex.
        expected: What the parent expects of that round's sum; None where it assigns nobody.
    """

    round: int
    path: Path
    sha256: str
    expected: Expected | None = None


@dataclass(frozen=True, slots=True)
class SumWanted:
    """The parent waits for what a round's updates add up to.

    Attributes:
        destination: Where that is to be written.
        expected: What the parent expects of it; None where it assigns nobody.
    """

    destination: Path
    expected: Expected | None = None


@dataclass(frozen=True, slots=True)
class SumMade:
    """What a round's updates add up to, written and on record.

    Attributes:
        round: The round.
        sha256: Of the file, hex.
        kind: What it is a sum of.
        parts: Whose updates count in it.
    """

    round: int
    sha256: str
    kind: UpdateKind
    parts: tuple[Part, ...]


class Rounds(Protocol):
    """The rounds of a combiner, as whoever stands above decides about them: `RoundsBelow`."""

    @property
    def next_round(self) -> int:
        """The round that is open, or that opens next."""
        ...

    def pass_round(self) -> None:
        """Nobody waits for the updates of that round any more."""
        ...

    def end(self, status: RunEndStatus, reason: str) -> None:
        """The run has ended above."""
        ...

    def expect(self, expected: Expected) -> None:
        """Let in whom the parent assigned, and have a round need updates of so many of them."""
        ...

    def sites(self) -> list[SiteBelow]:
        """Return what the sites below do."""
        ...


class Upstream(Protocol):
    """The way up, of one run.

    Attributes:
        run: Names the parent's run: what belongs to another one is not gone on with.
        run_id: The run's name at the root, under which clients keep what is theirs, whichever
            combiner they work below.
        run_number: Its number there.
        assigns: Whether the parent says whom this combiner may let in.
    """

    run: str
    run_id: str
    run_number: int
    assigns: bool

    async def first_model(self) -> GivenModel:
        """Wait for the model to begin with; nobody asks if a run is gone on with.

        Raises:
            RunStoppedError: The run has ended above.
        """
        ...

    def attach(self, rounds: Rounds) -> None:
        """Have the rounds, which have begun, hear of what is decided above."""
        ...

    async def news(self, number: int) -> SumWanted | GivenModel:
        """Wait until the parent wants the sum of a round, or gives the model of a later one.

        Args:
            number: The round whose updates are there.

        Raises:
            RunStoppedError: The run has ended above.
        """
        ...

    def hand_up(self, made: SumMade) -> None:
        """Give the parent the sum that it wanted."""
        ...
