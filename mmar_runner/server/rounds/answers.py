# SPDX-License-Identifier: Apache-2.0
"""What clients answer in the open round: an update that counts, one that does not, a failure.

Each is noted in the ledger, told to whoever watches and handed to the machine in one step:
between them nothing can come.
"""

from __future__ import annotations

import asyncio
from copy import copy
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import RefusedError
from mmar_runner.federation import events
from mmar_runner.server.records.record import Kind, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.errors import MmarRunnerError, StorageError
    from mmar_runner.server.records.record import AcceptedUpdate
    from mmar_runner.server.rounds.assignments import Assignments
    from mmar_runner.server.rounds.buffers import Buffers
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
        buffers: Says what counts where clients do not wait for each other; None elsewhere.

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
        *,
        buffers: Buffers | None = None,
    ) -> None:
        self._assignments = assignments
        self.ledger = ledger
        self._reporter = reporter
        self._disk = disk
        self._decide = decide
        self._buffers = buffers

    @property
    def asks_everybody(self) -> bool:
        """Whether whoever is there works all the time, and nobody has to be invited."""
        return self._buffers is not None

    def require_base(self, client: str, number: int, sha256: str) -> OpenRound:
        """Return the round for an update that was made from a round's model.

        Args:
            client: Whose it is.
            number: The round.
            sha256: Of the model.

        Raises:
            RefusedError: ROUND_MISMATCH, SERVER_STOPPING, or BASE_MISMATCH.
        """
        current = self.round_for(client, number)
        if self._buffers is not None:
            self._buffers.require_base(number, sha256)
        elif sha256 != current.model.sha256:
            msg = f"the update was not made from the model of round {number}"
            raise RefusedError(msg, reason="BASE_MISMATCH", hint="ask for the current model")
        return current

    def round_for(self, client: str, number: int) -> OpenRound:
        """Return the round in which an update counts that was made for a round, now or soon.

        Raises:
            RefusedError: ROUND_MISMATCH or SERVER_STOPPING.
        """
        if self._buffers is not None:
            return self._buffers.current(client, number)
        return self.require_round(number)

    async def until_open(self, client: str, number: int) -> None:
        """Wait until an update that was made for a round can be counted.

        Raises:
            RefusedError: ROUND_MISMATCH or SERVER_STOPPING, it can be no more.
        """
        if self._buffers is not None:
            await self._buffers.until_open(client, number)

    async def until_refused(self, client: str, number: int) -> None:
        """Wait until an update that was made for a round can be counted no more."""
        if self._buffers is not None:
            await self._buffers.until_refused(client, number)
            return
        try:
            current = self.require_round(number)
        except RefusedError:
            return
        await current.closed.wait()

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
        client = update.client
        if self.ledger.already_counted(client, update.base):
            return False
        current = self._open_for(client, update.base)
        update = update.counted_in(current.number)
        self.ledger.accept(current, update, data)
        self.need_no_space()
        self._reporter.update_accepted(update)
        self._decide(events.UpdateAccepted(client, current.number))
        return True

    def _open_for(self, client: str, number: int) -> OpenRound:
        """Return the round that takes an update now."""
        if self._buffers is None:
            return self.require_round(number)
        current = self._buffers.open_for(client, number)
        if current is None:  # nobody waited until there is one
            msg = f"no round takes an update of {client} now"
            raise RefusedError(msg, reason="ROUND_MISMATCH", hint="ask for the current model")
        return current

    def refuse(
        self, client: str, round_number: int, update_id: str, error: MmarRunnerError
    ) -> None:
        """An update was looked at and is not usable: its client has failed its task."""
        current = self._assignments.current
        if current is None or not self._is_asked(current, client, round_number):
            return
        if client in current.accepted:  # an older one of it counts, and goes on to
            current.invited.pop(client, None)
            return
        # A copy: the error's own traceback would hold the bytes of the refused update.
        current.refused[update_id] = copy(error)
        rejected = Rejected(client, current.number, error.reason, error.message)
        self.ledger.reject(current, Kind.UPDATE_REFUSED, rejected)
        self._reporter.update_refused(rejected)
        self._failed(rejected)

    def _is_asked(self, current: OpenRound, client: str, number: int) -> bool:
        """Whether what a client sends for a round is the answer to a task that it has."""
        if self._buffers is None:
            return current.number == number and client in current.invited
        try:
            return not self._buffers.current(client, number).closing
        except RefusedError:
            return False

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
