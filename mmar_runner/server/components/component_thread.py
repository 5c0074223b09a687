# SPDX-License-Identifier: Apache-2.0
"""A thread for code that is not ours: one piece of work after the other, and who it waits for.

Unlike a pool's, it does not keep the process: a component may never return.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_T = TypeVar("_T")

_log = logging.getLogger(__name__)

#: How long a component may still take once nobody wants to wait, in seconds.
_LAST_SECONDS: Final = 3.0


class ComponentThread:
    """Runs what is handed to it, in order; begun with the first piece of work.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._over: Future[None] = Future()
        self._given_up = asyncio.Event()
        self._doing = ""
        self._left_behind = False

    @property
    def doing(self) -> str:
        """Which component is at work, and at what; empty if none is, or none is waited for."""
        return "" if self._left_behind else self._doing

    @property
    def left_behind(self) -> bool:
        """Whether a component did not return and is not waited for any more."""
        return self._left_behind

    @contextmanager
    def does(self, what: str) -> Iterator[None]:
        """Say, from within the thread, which component is at work until the block ends."""
        self._doing = what
        try:
            yield
        finally:
            self._doing = ""

    def post(self, work: Callable[[], None]) -> None:
        """Have something done; it raises nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._queue.put(work)

    def submit(self, work: Callable[[], _T]) -> Future[_T]:
        """Have something done; what it returns or raises is the future's."""
        done: Future[_T] = Future()
        self.post(partial(_resolve, done, work))
        return done

    def give_up(self) -> None:
        """Let `close` wait for what is under way for a few seconds only."""
        self._given_up.set()

    async def close(self) -> None:
        """Wait until everything that was handed in is done; a second call does nothing.

        Once it was given up, a component that does not return is left behind.
        """
        if self._thread is None:
            return
        self._thread = None
        self._queue.put(None)
        over = asyncio.wrap_future(self._over)
        hurry = asyncio.create_task(self._given_up.wait())
        both: set[asyncio.Future[Any]] = {over, hurry}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not over.done():
            await asyncio.wait({over}, timeout=_LAST_SECONDS)
        if not over.done():
            _log.error("%s has not returned; it is not waited for", self._doing or "a component")
            self._left_behind = True

    def _run(self) -> None:
        try:
            while (work := self._queue.get()) is not None:
                work()
        finally:
            self._over.set_result(None)


def _resolve(done: Future[_T], work: Callable[[], _T]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - raised where it is waited for
        done.set_exception(error)
    else:
        done.set_result(result)
