# SPDX-License-Identifier: Apache-2.0
"""Which updates count in an open round where clients do not wait for each other.

There a round is a buffer (`mmar_runner.federation.fedbuff`): it takes an update that was made
from its own model or from one that is not too old, and at most one of each client. What comes
while the buffer is added up, or from a client that has an update in it, waits for the next one:
its bytes are here, and nobody trains it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.errors import RefusedError

if TYPE_CHECKING:
    from mmar_runner.server.records.run_state import RunState
    from mmar_runner.server.rounds.assignments import Assignments
    from mmar_runner.server.rounds.open_round import OpenRound


@dataclass(frozen=True, slots=True)
class Buffers:
    """Says what a buffer takes. Used from the event loop.

    Attributes:
        assignments: Know the round that is open.
        state: Of the run.
        max_staleness: How many versions older than the newest a model may be.
    """

    assignments: Assignments
    state: RunState
    max_staleness: int

    def current(self, client: str, base: int) -> OpenRound:
        """Return the buffer that is or was open last, if it or the next may take an update.

        Args:
            client: Whose it is.
            base: The round whose model it was made from.

        Raises:
            RefusedError: ROUND_MISMATCH, the model is too old or too new, or an update of a newer
                one was counted; SERVER_STOPPING, the run's stop is announced.
        """
        over = self.assignments.outcome() is not None or self.assignments.validating
        current = None if over else self.assignments.current
        if current is None:  # nobody waits for a buffer that will not come
            raise _mismatch(f"round {base} takes no updates: no round is the current one")
        if not current.number - self.max_staleness <= base <= current.number:
            msg = f"round {base} is too far from round {current.number}, which is the current one"
            raise _mismatch(f"{msg}; max_staleness is {self.max_staleness}")
        if base < self.state.last_round.get(client, -1):
            raise _mismatch(f"an update of {client} of a later round than {base} was counted")
        return current

    def require_base(self, base: int, sha256: str) -> None:
        """Refuse an update that was made from no model of this run.

        Raises:
            RefusedError: BASE_MISMATCH.
        """
        if self.state.bases.get(base) != sha256:
            msg = f"the update was not made from the model of round {base}"
            raise RefusedError(msg, reason="BASE_MISMATCH", hint="ask for the current model")

    def open_for(self, client: str, base: int) -> OpenRound | None:
        """Return the buffer that takes an update now; None if the next one may.

        One that was counted already is waited for by nobody: it gets its receipt.

        Raises:
            RefusedError: As `current`.
        """
        current = self.current(client, base)
        if self.state.last_round.get(client) == base:
            return current
        return None if current.closing or client in current.accepted else current

    async def until_open(self, client: str, base: int) -> None:
        """Wait until a buffer takes an update.

        Raises:
            RefusedError: As `current`; no buffer will any more.
        """
        while self.open_for(client, base) is None:
            await self.assignments.changed()

    async def until_refused(self, client: str, base: int) -> None:
        """Wait until no buffer takes an update any more."""
        try:
            while True:
                self.current(client, base)
                await self.assignments.changed()
        except RefusedError:
            return


def _mismatch(message: str) -> RefusedError:
    return RefusedError(message, reason="ROUND_MISMATCH", hint="ask for the current model")
