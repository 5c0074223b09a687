# SPDX-License-Identifier: Apache-2.0
"""The state of the round that is open: who is asked, who answered, what was refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmar_runner.errors import MmarRunnerError
    from mmar_runner.server.records.model_file import ModelFile
    from mmar_runner.server.records.record import CountedUpdate, Rejected


@dataclass(slots=True)
class OpenRound:
    """One open round.

    Attributes:
        number: The round.
        model: What clients receive.
        opened_at: On the server's clock, in seconds.
        invited: Clients that are asked and have not answered, and their attempt: 1, or
            more if a task is given again.
        accepted: Accepted updates by client, as they are on record.
        refused: The refusal of an update, by its update id, for those who send it again.
        rejected: What was refused or failed, as it is on record.
        passed: Who has the turn in place of a client that had it, by that client's name.
        closed: Set once no further update is taken.
    """

    number: int
    model: ModelFile
    opened_at: float
    invited: dict[str, int] = field(default_factory=dict)
    accepted: Mapping[str, CountedUpdate] = field(default_factory=dict)
    refused: dict[str, MmarRunnerError] = field(default_factory=dict)
    rejected: Sequence[Rejected] = ()
    passed: dict[str, str] = field(default_factory=dict)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def closing(self) -> bool:
        """Whether no further update is taken."""
        return self.closed.is_set()

    def is_done(self, client: str) -> bool:
        """Whether a client's update counts that it made from this round's model."""
        counted = self.accepted.get(client)
        return counted is not None and not counted.update.staleness

    def reopen(self) -> None:
        """Take updates again; what was waiting for the end of the round has had it."""
        self.closed = asyncio.Event()
