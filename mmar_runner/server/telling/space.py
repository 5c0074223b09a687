# SPDX-License-Identifier: Apache-2.0
"""A full disk is waited out: what it refused is tried again, and everybody sees why.

Nothing that could not be stored is acknowledged meanwhile, so that the run goes on as if
the disk had only been slow, as soon as somebody has freed some space.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, TypeVar

from mmar_runner.errors import AuditError, DiskFullError, StorageError
from mmar_runner.server.wording import utc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_T = TypeVar("_T")

#: How often what a full disk refused is tried again, in seconds.
AGAIN_SECONDS: Final = 1.0


class DiskWait:
    """What waits for space on a disk, and since when. Used from the event loop.

    Args:
        tell: Gets a sentence when something begins to wait, another when it is something
            else, and an empty one when nothing waits any more.
        pause: How long to wait before trying again, in seconds.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        *,
        pause: float = AGAIN_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tell = tell
        self._clock = clock
        self._pause = pause
        self._waiting: dict[str, str] = {}
        self._since = 0.0
        self._given_up = asyncio.Event()
        self._heard_by: list[Callable[[], None]] = []
        self._loop = asyncio.get_running_loop()

    async def keep_trying(self, what: str, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Do something until the disk takes it.

        Args:
            what: Names it, among all that may wait at once.
            attempt: Does it; what it had begun is gone when it raises.

        Raises:
            DiskFullError: There is no space, and waiting was given up.
            MmarRunnerError: Whatever else the attempt raised.
        """
        try:
            while True:
                try:
                    return await attempt()
                except (DiskFullError, AuditError) as error:
                    if self._given_up.is_set() or not error.may_pass:
                        raise
                    self.note(what, error)
                await self._a_while()
        finally:
            self.note(what, None)

    def note(self, what: str, error: StorageError | AuditError | None) -> None:
        """Say that something waits for space, or that it does no longer.

        Args:
            what: Names it.
            error: What the disk said; None ends the wait.
        """
        before = self._sentence()
        if error is None:
            self._waiting.pop(what, None)
        else:
            if not self._waiting:
                self._since = self._clock()
            since = f"since {utc(self._clock())}"
            self._waiting.setdefault(what, f"{error.reason}: {error.message}, {since}")
        if (now := self._sentence()) != before:
            self._tell(now)
            for hear in self._heard_by:
                hear()

    def on_change(self, hear: Callable[[], None]) -> None:
        """Call somebody, too, whenever it is something else, or nothing, that waits."""
        self._heard_by.append(hear)

    @property
    def waits(self) -> str:
        """What is told now; empty if nothing waits for space."""
        return self._sentence()

    @property
    def since(self) -> float:
        """Since when something waits without a break, in seconds since 1970."""
        return self._since

    def note_journal(self, error: StorageError | None) -> None:
        """Say that the journal waits, or does no longer; may be called from any thread."""
        self._loop.call_soon_threadsafe(self.note, "journal", error)

    def give_up(self) -> None:
        """Wait no longer: from now on the disk's refusals are raised."""
        self._given_up.set()

    def _sentence(self) -> str:
        first = next(iter(self._waiting.values()), "")
        return first and f"{first}; free space on that disk, and the run goes on"

    async def _a_while(self) -> None:
        try:
            async with asyncio.timeout(self._pause):
                await self._given_up.wait()
        except TimeoutError:
            return
