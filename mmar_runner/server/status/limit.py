# SPDX-License-Identifier: Apache-2.0
"""Stops a run that waits longer than its MMAR allows (``max_wait``)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mmar_runner.federation.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from mmar_runner.server.members.members import Members
    from mmar_runner.server.rounds.coordinator import Coordinator
    from mmar_runner.server.status.board import Board
    from mmar_runner.server.telling.space import DiskWait

#: How often the run is looked at while it may wait, in parts of that time; and at least.
_LOOKS: Final = 20
_LONGEST_PAUSE: Final = 5.0


class WaitLimit:
    """Looks now and then whether the run gets anywhere.

    Args:
        max_wait: For how long it may wait without progress, in seconds; None for ever.
        coordinator: Runs the rounds.
        members: Know the clients, and what is heard of them.
        disk: Knows what waits for space.
        board: Says what the run waits for.
        stop: Stops the run, for a reason.
    """

    def __init__(
        self,
        max_wait: float | None,
        coordinator: Coordinator,
        members: Members,
        *,
        disk: DiskWait,
        board: Board,
        stop: Callable[[str], None],
    ) -> None:
        self._max_wait = max_wait
        self._coordinator = coordinator
        self._members = members
        self._disk = disk
        self._board = board
        self._stop = stop
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Look from now on until `close`; without a limit, never."""
        if self._max_wait is not None:
            self._look(Patience(self._max_wait, asyncio.get_running_loop().time()), self._max_wait)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, patience: Patience, max_wait: float) -> None:
        loop = asyncio.get_running_loop()
        waits = self._coordinator.phase in {"clients", "updates", "validation"} or bool(
            self._disk.waits
        )
        if patience.is_over(self._marks(), loop.time(), waits=waits):
            self._stop(self._reason(max_wait))
            return
        pause = min(_LONGEST_PAUSE, max_wait / _LOOKS)
        self._timer = loop.call_later(pause, self._look, patience, max_wait)

    def _marks(self) -> Hashable:
        current = self._coordinator.round
        accepted = 0 if current is None else len(current.accepted)
        validated = self._coordinator.validated
        return (self._coordinator.next_round, accepted, validated, self._members.marks())

    def _reason(self, max_wait: float) -> str:
        sentence, since = self._board.waits_since()
        told = "" if " since " in sentence else f", since {since}"  # of each of whom, mostly
        return f"no progress for {max_wait:g} s (max_wait) while waiting for {sentence}{told}"
