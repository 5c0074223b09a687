# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C in a console: it ends the waiting for an answer, and never the console."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType


#: After how long it is said once more that something is to end, in seconds.
_AGAIN_SECONDS: Final = 0.2


class Interrupts:
    """Hears Ctrl-C for a block; use it in ``with``, in the main thread's event loop.

    Where nothing is waited for it means nothing: it was pressed a moment too late.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Future[None] | None = None
        self._asked = False
        self._before = signal.getsignal(signal.SIGINT)

    def __enter__(self) -> Self:
        self._loop.add_signal_handler(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, self._before)

    async def outwait(self, work: Coroutine[Any, Any, None]) -> bool:
        """Wait for something, and return False if Ctrl-C has ended it before."""
        self._asked = False
        self._task = asyncio.ensure_future(work)
        try:
            await self._task
        except asyncio.CancelledError:
            if not self._asked:  # the console itself is ending
                raise
        finally:
            self._task = None
        return not self._asked

    def _interrupt(self) -> None:
        if self._task is not None:
            self._asked = True
            self._cancel(self._task)

    def _cancel(self, task: asyncio.Future[None]) -> None:
        """End something, however often that must be said: libraries below may not hear it once."""
        if not task.done():
            task.cancel()
            self._loop.call_later(_AGAIN_SECONDS, self._cancel, task)
