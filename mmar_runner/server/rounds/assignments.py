# SPDX-License-Identifier: Apache-2.0
"""What clients wait to be told: who works in the open round, and how the run has ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mmar_runner.errors import RefusedError
from mmar_runner.federation.run_status import RunEndStatus, RunStatus
from mmar_runner.wire.messages import RunEnd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmar_runner.server.rounds.open_round import OpenRound


class Assignments:
    """The open round and the run's end, as clients ask for them. Used from the event loop.

    Attributes:
        current: The round that is or was open last; None before the first.
        validating: Who takes part in the cross-site validation that has begun.
    """

    def __init__(self) -> None:
        self.current: OpenRound | None = None
        self.validating: frozenset[str] = frozenset()
        self._end: tuple[RunEndStatus, str] | None = None
        self._changed = asyncio.Event()
        self._held: dict[str, asyncio.Event] = {}

    def open(self, opened: OpenRound) -> None:
        """A round is open: those who are invited may fetch its model."""
        self.current = opened
        self._notify(opened.invited)

    def invite(self, client: str, attempt: int) -> None:
        """Give a client the open round's task, or give it again; not to one that is done."""
        if self.current is not None and not self.current.is_done(client):
            self.current.invited[client] = attempt
            self._notify((client,))

    def validate(self, participants: Iterable[str]) -> None:
        """Cross-site validation has begun: those who take part in it are told."""
        self.validating = frozenset(participants)
        self._notify(self.validating)

    def announce(self, status: RunEndStatus, reason: str) -> None:
        """The run's end is on record: from now on clients are told."""
        self._end = (status, reason)
        self._notify(tuple(self._held))

    def require_round(self, number: int) -> OpenRound:
        """Return the open round, if it is that one: whoever is told of the end hears of no more.

        Raises:
            RefusedError: ROUND_MISMATCH; SERVER_STOPPING, the run's stop is announced.
        """
        current = None if self.outcome() is not None else self.current
        if current is None or current.closing or current.number != number:
            open_now = "no round" if current is None else f"round {current.number}"
            msg = f"round {number} takes no updates: {open_now} is the current one"
            raise RefusedError(msg, reason="ROUND_MISMATCH", hint="ask for the current model")
        return current

    def task_of(self, client: str, after: tuple[int, int]) -> OpenRound | None:
        """Return the open round if a client is to work in it.

        Args:
            client: Who asks.
            after: The round and attempt that it was given last.
        """
        current = self.current
        if current is None or current.closing:
            return None
        attempt = current.invited.get(client)
        if attempt is None or (current.number, attempt) <= after:
            return None
        return current

    def round_number(self) -> int:
        """The number of the round that is or was open last; -1 before the first."""
        return -1 if self.current is None else self.current.number

    def outcome(self) -> RunEnd | None:
        """Return how the run has ended, or None while nobody may be told.

        Raises:
            RefusedError: SERVER_STOPPING; the run will go on, but not here and now.
        """
        if self._end is None:
            return None
        status, reason = self._end
        if status is RunStatus.STOPPED:
            msg = "the server is stopping; the run goes on when it is back"
            raise RefusedError(msg, reason="SERVER_STOPPING")
        return RunEnd(status=status.value, reason=reason)

    async def changed(self) -> None:
        """Wait until a round opens, a client is invited, or the end is announced."""
        await self._changed.wait()

    async def changed_for(self, client: str) -> None:
        """Wait until something that is new concerns a client, or `wake` is called for it.

        Of thousands who wait, a round is for a few: the others are left alone.
        """
        await self._held.setdefault(client, asyncio.Event()).wait()

    def wake(self, client: str) -> None:
        """Let whoever waits for news of a client look again."""
        if (held := self._held.pop(client, None)) is not None:
            held.set()

    @property
    def next_change(self) -> asyncio.Event:
        """What is set at the next change: for whoever waits for something else as well."""
        return self._changed

    def _notify(self, whom: Iterable[str]) -> None:
        for client in whom:
            self.wake(client)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
