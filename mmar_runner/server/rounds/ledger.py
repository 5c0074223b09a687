# SPDX-License-Identifier: Apache-2.0
"""Which updates were counted, refused and failed: in memory, and in the journal.

The order of records is the order of calls, and a call never waits: what must wait for
a record to be durable waits on the future that it gives.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from mmar_runner.server.records.record import CountedUpdate, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from mmar_runner.server.records.record import AcceptedUpdate
    from mmar_runner.server.records.update_bytes import UpdateBytes
    from mmar_runner.server.rounds.open_round import OpenRound
    from mmar_runner.storage.journal import Journal


class Ledger:
    """What a run has counted.

    Args:
        journal: Where everything is recorded.
        updates: Keeps the bytes of small updates at hand.
        last_round: For every client, the last round an update was accepted in before.
        on_failure: Told on the event loop if a record cannot be written.
    """

    def __init__(
        self,
        journal: Journal,
        updates: UpdateBytes,
        last_round: Mapping[str, int],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._journal = journal
        self._bytes = updates
        self._last_round = dict(last_round)
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._recording: dict[str, asyncio.Future[int]] = {}

    def record(
        self, kind: Kind, data: Mapping[str, Any], *, blob: bytes | None = None
    ) -> Future[int]:
        """Append an event; the run is interrupted if it cannot be written."""
        recorded = self._journal.append(kind, data, blob=blob)
        recorded.add_done_callback(self._recorded)
        return recorded

    def open_round(self) -> None:
        """A round begins: what was kept at hand for the one before is not needed any more."""
        self._bytes.forget()

    def accept(self, current: OpenRound, update: AcceptedUpdate, data: bytes | None) -> None:
        """Count an update; it is durable once `until_recorded` returns."""
        recorded = self.record(Kind.UPDATE_ACCEPTED, update.to_json(), blob=data)
        self._recording[update.client] = asyncio.wrap_future(recorded, loop=self._loop)
        self._last_round[update.client] = update.facts.round
        current.accepted[update.client] = CountedUpdate(update, recorded)
        current.invited.pop(update.client, None)
        if data is not None:
            self._bytes.keep(update, data)

    def withdraw(self, current: OpenRound, client: str, reason: str, message: str) -> Future[int]:
        """Take an update that was counted out of its round again; return when that is on record."""
        del current.accepted[client]
        del self._last_round[client]
        return self.reject(current, Kind.UPDATE_REFUSED, client, reason, message)

    def reject(
        self, current: OpenRound, kind: Kind, client: str, reason: str, message: str
    ) -> Future[int]:
        """Note that a client's work in a round is not usable, or did not come about."""
        current.invited.pop(client, None)
        current.rejected.append({"client": client, "reason": f"{reason}: {message}"})
        facts = {"client": client, "round": current.number, "reason": reason, "message": message}
        return self.record(kind, facts)

    def already_counted(self, client: str, round_number: int) -> bool:
        """Whether an update of this client was accepted for that round."""
        return self._last_round.get(client) == round_number

    async def until_recorded(self, client: str) -> None:
        """Wait until the last update that was accepted of a client is durable.

        Raises:
            StorageError: It could not be recorded.
        """
        recording = self._recording.get(client)
        if recording is not None:
            await asyncio.shield(recording)

    def _recorded(self, done: Future[int]) -> None:
        error = done.exception()
        if error is not None:
            self._loop.call_soon_threadsafe(self._on_failure, error)
