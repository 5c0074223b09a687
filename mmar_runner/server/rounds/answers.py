# SPDX-License-Identifier: Apache-2.0
"""What clients answer in the open round: an update that counts, one that does not, a failure.

Each is noted in the ledger, told to whoever watches and handed to the machine in one step:
between them nothing can come.
"""

from __future__ import annotations

import asyncio
from copy import copy
from typing import TYPE_CHECKING, Final

from mmar_runner.federation import events
from mmar_runner.server.records.record import Kind, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.errors import MmarRunnerError, StorageError
    from mmar_runner.server.records.record import AcceptedUpdate
    from mmar_runner.server.rounds.assignments import Assignments
    from mmar_runner.server.rounds.ledger import Ledger
    from mmar_runner.server.rounds.open_round import OpenRound
    from mmar_runner.server.telling.reporter import Reporter
    from mmar_runner.server.telling.space import DiskWait

#: Names updates among all that may wait for space on a disk.
_UPDATES: Final = "updates"


class Answers:
    """Takes the answers of clients, on the event loop.

    Args:
        assignments: Knows the open round.
        ledger: Notes them.
        reporter: Tells who wants to know.
        disk: Knows what waits for space.
        decide: Hands an event to the machine.

    Attributes:
        ledger: What was counted.
    """

    def __init__(
        self,
        assignments: Assignments,
        ledger: Ledger,
        reporter: Reporter,
        disk: DiskWait,
        decide: Callable[[events.Event], None],
    ) -> None:
        self._assignments = assignments
        self.ledger = ledger
        self._reporter = reporter
        self._disk = disk
        self._decide = decide

    def require_round(self, number: int) -> OpenRound:
        """Return the open round, if it is that one; see `Assignments.require_round`."""
        return self._assignments.require_round(number)

    def accept(self, update: AcceptedUpdate, data: bytes | None) -> bool:
        """Count an update that was checked and, unless inline, lies in the spool.

        Its client may be told once `Ledger.until_recorded` returns.

        Args:
            update: What was checked.
            data: Its bytes, if they travel in the journal.

        Returns:
            False if one of this client and round was counted before: this one is not.

        Raises:
            RefusedError: ROUND_MISMATCH; the round was closed meanwhile.
        """
        client, number = update.client, update.facts.round
        if self.ledger.already_counted(client, number):
            return False
        current = self.require_round(number)
        self.ledger.accept(current, update, data)
        self.need_no_space()
        self._reporter.update_accepted(update)
        self._decide(events.UpdateAccepted(client, number))
        return True

    def refuse(
        self, client: str, round_number: int, update_id: str, error: MmarRunnerError
    ) -> None:
        """An update was looked at and is not usable: its client has failed its task."""
        current = self._assignments.current
        if current is None or current.number != round_number or client not in current.invited:
            return
        # A copy: the error's own traceback would hold the bytes of the refused update.
        current.refused[update_id] = copy(error)
        rejected = Rejected(client, current.number, error.reason, error.message)
        self.ledger.reject(current, Kind.UPDATE_REFUSED, rejected)
        self._reporter.update_refused(rejected)
        self._failed(rejected)

    async def fail(
        self,
        client: str,
        round_number: int,
        attempt: int,
        *,
        reason: str,
        message: str,
        log: tuple[str, ...] = (),
    ) -> None:
        """A client says that it cannot do its task; return once that is on record.

        An attempt that has failed before, or was accepted, is not counted again.

        Raises:
            RefusedError: ROUND_MISMATCH.
            StorageError: It cannot be recorded.
        """
        current = self.require_round(round_number)
        if current.invited.get(client) != attempt:
            return
        rejected = Rejected(client, current.number, reason, message, log)
        recorded = self.ledger.reject(current, Kind.TASK_FAILED, rejected)
        self._reporter.task_failed(rejected)
        self._failed(rejected)
        await asyncio.wrap_future(recorded)

    def lack_space(self, error: StorageError) -> None:
        """The disk has no room for an update; its client tries again."""
        self._disk.note(_UPDATES, error)

    def need_no_space(self) -> None:
        """An update needs no room any more; whoever else lacks it says so with its next attempt."""
        self._disk.note(_UPDATES, None)

    def _failed(self, rejected: Rejected) -> None:
        self._decide(events.UpdateFailed(rejected.client, rejected.round, rejected.cause))
