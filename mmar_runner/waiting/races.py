# SPDX-License-Identifier: Apache-2.0
"""Several things at once, of which the first to end decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

_T = TypeVar("_T")


async def first_of(*works: Coroutine[Any, Any, _T]) -> _T:
    """Run coroutines side by side; return or raise what the first to end does.

    The others are cancelled and waited for.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(*tasks)
    # In the given order, if several ended at the same moment.
    return next(task for task in tasks if task in done).result()


async def unless(
    work: Coroutine[Any, Any, _T] | asyncio.Task[_T],
    event: Coroutine[Any, Any, Any],
    *,
    grace: Callable[[], float] = float,
) -> asyncio.Task[_T]:
    """Do a piece of work, but leave it if something happens before it is done.

    Args:
        work: It is cancelled, and waited for, if it is left, and with the caller.
        event: Returns when that has happened.
        grace: Gives how long the work may still take then, in seconds.

    Returns:
        The work's task, which is over: cancelled, if the work was left.
    """
    doing = work if isinstance(work, asyncio.Task) else asyncio.create_task(work)
    happening = asyncio.create_task(event)
    try:
        await asyncio.wait({doing, happening}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done() and (seconds := grace()) > 0:
            await asyncio.wait({doing}, timeout=seconds)
    finally:
        await end(doing, happening)
    return doing


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended, whatever they raise."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Finish a piece of work even if the caller is cancelled meanwhile.

    Raises:
        CancelledError: The caller was cancelled; the work is finished all the same.
    """
    task = asyncio.create_task(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    task.result()


@asynccontextmanager
async def aside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a coroutine beside the block and wait for it at the block's end.

    If the block raises, the coroutine is cancelled.
    """
    task = asyncio.create_task(work)
    try:
        yield
        await task
    finally:
        await end(task)
