# SPDX-License-Identifier: Apache-2.0
"""What the coordinator has under way: one timer, one worker thread, and tasks."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_log = logging.getLogger(__name__)


class Workbench:
    """Holds what would be forgotten by whoever began it.

    Args:
        on_failure: Told in a sentence when a task has raised what nobody foresaw.

    Attributes:
        thread: Does one piece of arithmetic or disk work after the other.
    """

    def __init__(self, on_failure: Callable[[str], None]) -> None:
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="rounds")

    def set_timer(self, at: float, due: Callable[[], None]) -> None:
        """Have something done at a time of the loop's clock, instead of what was due before."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, due)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin a task, hold it until it has ended, and return it."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def give_up(self) -> None:
        """Cancel every task."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Wait for what is under way; nothing new is begun."""
        if self._timer is not None:
            self._timer.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.to_thread(self.thread.shutdown)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the coordinator failed", exc_info=error)
            self._on_failure(f"internal error: {type(error).__name__}")
