# SPDX-License-Identifier: Apache-2.0
"""Runs that wait: one after the other, in the order in which they were queued.

Every step is on the disk before the next one begins, so that whoever is killed between two of
them goes on with the same run under the same number: the run has its number; the MMAR is
deployed; the run is to be started, and waits no more. That last one is a single write.
"""

from __future__ import annotations

import base64
import logging
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mmar_runner.admin.runs.federation_state import FailedRun, RunEntry
from mmar_runner.documents.words import printable
from mmar_runner.errors import MmarRunnerError, OrderError
from mmar_runner.orders.commands import BUILT_IN
from mmar_runner.orders.order import opened
from mmar_runner.orders.typed import understood
from mmar_runner.waiting.threads import in_thread

if TYPE_CHECKING:
    from mmar_runner.admin.entrance.access import Access
    from mmar_runner.admin.files.transfers import Transfers
    from mmar_runner.admin.runs.federation_state import FederationState, QueuedRun
    from mmar_runner.admin.runs.run_desk import RunDesk
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.security.pki.followed import Revocations

_log = logging.getLogger(__name__)

#: Runs that could not begin, of which the reason is remembered.
_REMEMBERED: Final = 20
_LETTERS: Final = 2000


class RunQueue:
    """Begins the next run when none is open. Used from the event loop.

    Args:
        desk: Deploys and starts.
        transfers: Knows what was uploaded.
        access: Who may order what, as it is when the run's turn comes.
        kit: The server's: whose orders count.
        revocations: What no longer counts.
    """

    def __init__(
        self,
        desk: RunDesk,
        transfers: Transfers,
        access: Access,
        kit: StartupKit,
        revocations: Revocations,
    ) -> None:
        self._desk = desk
        self._transfers = transfers
        self._access = access
        self._kit = kit
        self._revocations = revocations

    async def work(self) -> None:
        """Begin runs as their turn comes, until this is cancelled."""
        while True:
            changes = self._desk.changes
            try:
                await self.look()
            except MmarRunnerError as error:  # nobody asked who could be told
                _log.error("the queue does not go on: %s", error.message)
            await changes.wait()

    async def look(self) -> None:
        """Begin the next run, if there is one and its turn has come.

        Raises:
            StorageError: What becomes of it cannot be remembered.
        """
        while self._state.queue and not self._state.paused:
            async with self._desk.reserved() as free:
                if not free:
                    return
                await self._begin(self._state.queue[0])

    @property
    def _state(self) -> FederationState:
        return self._desk.state

    async def _begin(self, queued: QueuedRun) -> None:
        try:
            await in_thread(self._judge, queued)
            entry = await self._numbered(queued)
            folder = self._transfers.path_of(queued.mmar)
            taken = await self._desk.deploy(folder, queued=True)
            if taken.digest != queued.digest:
                raise _changed(queued)
            if queued not in self._state.queue:  # somebody dequeued it meanwhile
                await self._forget(queued)
                return
            entry.order, entry.targets = queued.order, list(queued.clients)
            self._state.queue.remove(queued)
            await self._desk.start(queued=True)
        except MmarRunnerError as error:
            await self._fail(queued, error)

    def _judge(self, queued: QueuedRun) -> None:
        """Refuse a run whose order does not hold any more, or whose MMAR is another. Blocks."""
        now, order = datetime.now(UTC), base64.b64decode(queued.order)
        said = opened(order, self._kit.trust_root, self._revocations.current, now=now)
        call = understood(said.words, BUILT_IN, said.user)
        for decision in self._access.decisions(call.user, call.spec, call.targets, ()):
            decision.require()
        if self._transfers.digest_of(queued.mmar) != queued.digest:
            raise _changed(queued)

    async def _numbered(self, queued: QueuedRun) -> RunEntry:
        """Return the run's entry, under the number that it has, or the next that is free."""
        state = self._state
        if not queued.run_number:
            queued.run_number = await in_thread(self._desk.free_number)
        number = queued.run_number
        entry = state.runs.setdefault(number, RunEntry(number, queued.user, queued.org))
        state.run_number = number
        await in_thread(self._desk.choose, number)
        return entry

    async def _fail(self, queued: QueuedRun, error: MmarRunnerError) -> None:
        """Remember why a run could not begin; the next one is tried."""
        _log.warning("%s of the queue cannot begin: %s", queued.mmar, error.message)
        state = self._state
        failed = FailedRun(
            mmar=queued.mmar,
            user=queued.user,
            org=queued.org,
            queued=queued.queued,
            failed=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            reason=error.reason,
            message=printable(error.message)[:_LETTERS],
        )
        state.failed = [*state.failed, failed][-_REMEMBERED:]
        await self._forget(queued)

    async def _forget(self, queued: QueuedRun) -> None:
        """Take a run out of the queue; its number is free again if nothing came of it."""
        state, number = self._state, queued.run_number
        with suppress(ValueError):
            state.queue.remove(queued)
        await in_thread(self._desk.release, number)


def _changed(queued: QueuedRun) -> OrderError:
    msg = f"{queued.mmar} is not there as it was when it was queued"
    return OrderError(msg, hint="enqueue it again", reason="MMAR_CHANGED")
