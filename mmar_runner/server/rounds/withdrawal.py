# SPDX-License-Identifier: Apache-2.0
"""Takes updates that were counted out of their round again: they could not be aggregated."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.errors import AuditError
from mmar_runner.server.records.record import Kind, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mmar_runner.server.rounds.ledger import Ledger
    from mmar_runner.server.rounds.open_round import OpenRound
    from mmar_runner.server.rounds.round_aggregation import Withdrawn
    from mmar_runner.server.telling.reporter import Reporter

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Withdraws updates.

    Attributes:
        ledger: Notes that they do not count.
        reporter: Tells who wants to know.
        note_refusal: Writes down whose update was withdrawn, the reason and a sentence.
    """

    ledger: Ledger
    reporter: Reporter
    note_refusal: Callable[[str, str, str], None]

    async def withdraw(self, current: OpenRound, withdrawn: Withdrawn) -> Mapping[str, str]:
        """Take updates out of a round, which then takes others; a server that stops finds them.

        Another update takes the place of one that was withdrawn, on the disk too: only once it
        is on record that this one does not count.

        Returns:
            Reason and sentence, by client.

        Raises:
            StorageError: It cannot be recorded.
        """
        recorded, causes = [], {}
        for client, message in withdrawn.messages.items():
            rejected = Rejected(client, current.number, withdrawn.reason, message)
            recorded.append(self.ledger.reject(current, Kind.UPDATE_REFUSED, rejected))
            self.reporter.update_refused(rejected)
            causes[client] = rejected.cause
        for record in recorded:
            await asyncio.wrap_future(record)
        current.reopen()
        return causes

    def note(self, withdrawn: Withdrawn) -> None:
        """Write down whose they were; nobody called who could be told that it cannot be."""
        try:
            for client, message in withdrawn.messages.items():
                self.note_refusal(client, withdrawn.reason, message)
        except AuditError as error:  # it is written later
            _log.error("who was refused cannot be written down yet: %s", error.message)
