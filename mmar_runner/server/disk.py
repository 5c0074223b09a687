# SPDX-License-Identifier: Apache-2.0
"""Threads that may wait for the disk, and calls that end before their caller does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

_T = TypeVar("_T")


class DiskThreads:
    """A few threads for calls that block.

    Args:
        threads: How many.
        name: In front of the threads' names.
    """

    def __init__(self, threads: int, *, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(
        self, call: Callable[..., _T], *args: Any, undo: Callable[[_T], object] | None = None
    ) -> _T:
        """Return what a call returns.

        A thread cannot be stopped. Whoever is cancelled here leaves only when the call
        is over, so that nothing is done twice at once to one file, and no descriptor
        is closed under a write.

        Args:
            call: What to call in a thread.
            args: Its arguments.
            undo: Gets the result if nobody else does, because of a cancellation.
        """
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._threads, partial(call, *args))
        cancelled: asyncio.CancelledError | None = None
        while not work.done():
            try:
                await asyncio.wait({work})
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is None:
            return work.result()
        if work.exception() is None and undo is not None:
            undo(work.result())
        raise cancelled

    async def close(self) -> None:
        """Wait for the calls that are under way."""
        await asyncio.to_thread(self._threads.shutdown)
