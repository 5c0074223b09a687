# SPDX-License-Identifier: Apache-2.0
"""Sees that a child which tells of its steps goes on making them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mmar_runner.interfaces.client_trainer import Progress, tell_nobody

if TYPE_CHECKING:
    from collections.abc import Callable

#: A timer that is later than this, in seconds, was late because this process was stopped:
#: steps may lie in the socket that nobody has read.
_STOPPED_SECONDS: Final = 1.0


class StepWatch:
    """Passes the steps of one request on, and says when none has come for too long.

    Args:
        told: Hears of every step.
        limit: Seconds between two steps, or None for no limit.
        stalled: Called once if no step came for so long.
    """

    def __init__(
        self, told: Progress | None, limit: float | None, stalled: Callable[[], None]
    ) -> None:
        self._told = told or tell_nobody
        self._limit = limit
        self._stalled = stalled
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Expect a step within the limit; unless this is called, after the first one only."""
        self.end()
        if self._limit is not None:
            due = self._loop.time() + self._limit
            self._timer = self._loop.call_at(due, self._look, due)

    def saw(self, step: int, total: int) -> None:
        """See a step, and expect another one."""
        self.begin()
        self._told(step, total)

    def end(self) -> None:
        """Expect no step any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, due: float) -> None:
        if self._loop.time() - due > _STOPPED_SECONDS:
            self.begin()
        else:
            self._stalled()
