# SPDX-License-Identifier: Apache-2.0
"""Calls in threads that end before whoever called them does.

A thread cannot be stopped. Whoever is cancelled while a call is under way, and be it several
times, leaves only when the call is over, so that nothing is done twice at once to one file,
and no descriptor is closed under a write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def in_thread(call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Return what a call returns, made in one of the event loop's own threads."""
    loop = asyncio.get_running_loop()
    return await _over(loop.run_in_executor(None, partial(call, *args, **kwargs)))


class DiskThreads:
    """A few threads of their own for calls that block.

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

        Args:
            call: What to call in a thread.
            args: Its arguments.
            undo: Gets the result if nobody else does, because of a cancellation.
        """
        loop = asyncio.get_running_loop()
        return await _over(loop.run_in_executor(self._threads, partial(call, *args)), undo)

    async def close(self) -> None:
        """Wait for the calls that are under way."""
        await asyncio.to_thread(self._threads.shutdown)


async def _over(work: asyncio.Future[_T], undo: Callable[[_T], object] | None = None) -> _T:
    """Return a thread's result; a cancellation is raised once the thread has ended."""
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
