# SPDX-License-Identifier: Apache-2.0
"""Which updates were counted, refused and failed: put on record, and looked up there.

The order of records is the order of calls, and a call never waits: what must wait for
a record to be durable waits on the future that it gives.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from mmar_runner.server.records.record import Kind
from mmar_runner.server.rounds.open_round import OpenRound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from mmar_runner.server.records.model_file import ModelFile
    from mmar_runner.server.records.record import AcceptedUpdate, CountedUpdate, Rejected
    from mmar_runner.server.records.run_record import RunRecord
    from mmar_runner.server.records.update_bytes import UpdateBytes


class Ledger:
    """What a run has counted. It remembers nothing itself: it asks what is on record.

    Args:
        record: Of the run.
        updates: Keeps the bytes of small updates at hand.
        on_failure: Told on the event loop if a record cannot be written.
    """

    def __init__(
        self,
        record: RunRecord,
        updates: UpdateBytes,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._record = record
        self._bytes = updates
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._recording: dict[str, asyncio.Future[int]] = {}
        self._clearing: dict[str, set[asyncio.Task[None]]] = {}

    def record(
        self, kind: Kind, data: Mapping[str, Any], *, blob: bytes | None = None
    ) -> Future[int]:
        """Append an event; the run is interrupted if it cannot be written."""
        recorded = self._record.append(kind, data, blob=blob)
        recorded.add_done_callback(self._recorded)
        return recorded

    def open_round(
        self, number: int, participants: Sequence[str], model: ModelFile, now: float
    ) -> OpenRound:
        """Put on record that a round is open; what an earlier process counted in it counts.

        Args:
            number: The round.
            participants: Who is given its model.
            model: That model.
            now: On the loop's clock.
        """
        state = self._record.state
        self._bytes.forget()
        facts = {"round": number, "participants": list(participants)}
        self.record(Kind.ROUND_OPENED, {**facts, "model_sha256": model.sha256})
        failures, again, out = state.failures(), state.again, state.out()
        done = {name for name, one in state.accepted.items() if one.update.base == number}
        waiting = [c for c in participants if c not in done and c not in out]
        invited = {client: 1 + failures[client] + again.get(client, 0) for client in waiting}
        return OpenRound(
            number, model, now, invited, accepted=state.accepted, rejected=state.rejected
        )

    def pass_turn(self, current: OpenRound, client: str, before: str) -> None:
        """Note that a client works in place of another, whose update is not taken any more."""
        facts = {"round": current.number, "client": client, "before": before}
        self.record(Kind.TURN_PASSED, facts)
        current.invited.pop(before, None)
        current.passed[before] = client
        current.passed.pop(client, None)

    def accept(self, current: OpenRound, update: AcceptedUpdate, data: bytes | None) -> None:
        """Count an update; it is durable once `until_recorded` returns."""
        recorded = self.record(Kind.UPDATE_ACCEPTED, update.to_json(), blob=data)
        self._recording[update.client] = asyncio.wrap_future(recorded, loop=self._loop)
        if not update.staleness:  # whoever answered an older task still has this round's
            current.invited.pop(update.client, None)
        if data is not None:
            self._bytes.keep(update, data)

    def reject(self, current: OpenRound, kind: Kind, rejected: Rejected) -> Future[int]:
        """Note that a client's work in a round is not usable, or did not come about.

        An update of it that was counted in this round is not counted any more.

        Returns:
            The event's number, once that is on record.
        """
        current.invited.pop(rejected.client, None)
        return self.record(kind, rejected.to_json())

    def already_counted(self, client: str, round_number: int) -> bool:
        """Whether an update of this client was accepted that it made from that round's model."""
        return self._record.state.last_round.get(client) == round_number

    async def until_recorded(self, client: str) -> None:
        """Wait until the last update that was accepted of a client is durable.

        Raises:
            StorageError: It could not be recorded.
        """
        recording = self._recording.get(client)
        if recording is not None:
            await asyncio.shield(recording)

    def accepted(self, client: str) -> CountedUpdate | None:
        """Return the accepted update of a client in the round to go on with."""
        return self._record.state.accepted.get(client)

    def drop(self, counted: CountedUpdate) -> Future[int]:
        """Delete the bytes of an update that travelled in the journal and does not count.

        Returns:
            Resolved once they are gone.
        """
        self._bytes.drop(counted.update)
        number = counted.number.result()  # on record: what says that it does not count is, too
        return self._record.journal.drop_blobs(number + 1, from_seq=number)

    def clearing(self, client: str, work: asyncio.Task[None]) -> None:
        """Have a client's next update wait until what it had sent before is deleted."""
        self._clearing.setdefault(client, set()).add(work)
        work.add_done_callback(partial(self._cleared, client))

    async def until_cleared(self, client: str) -> None:
        """Wait until nothing is deleted any more that a client sent before it was removed."""
        while work := self._clearing.get(client):
            await asyncio.wait(set(work))

    def _cleared(self, client: str, work: asyncio.Task[None]) -> None:
        self._clearing[client].discard(work)
        if not self._clearing[client]:
            del self._clearing[client]

    def _recorded(self, done: Future[int]) -> None:
        error = done.exception()
        if error is not None:
            self._loop.call_soon_threadsafe(self._on_failure, error)
