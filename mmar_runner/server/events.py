# SPDX-License-Identifier: Apache-2.0
"""Hands the events of a run to handlers and hooks, in order, off the event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import ComponentFailedError
from mmar_runner.interfaces.handler import EventType, RunEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.handler import Handler
    from mmar_runner.server.workspace import RunFolder

_log = logging.getLogger(__name__)

#: How long a handler may still take once nobody wants to wait, in seconds.
_LAST_SECONDS: Final = 3.0


class EventDispatcher:
    """One thread that tells everyone who listens what happens.

    A handler that raises is logged, and the others are told all the same; it cannot
    change or end a run, except at START_RUN, where the run has not begun yet.

    Args:
        handlers: The MMAR's, in declared order; told before the hooks.
        plugins: Whose ``mmar_on_event`` hooks are called.
        folder: The run.
    """

    def __init__(
        self, handlers: Sequence[Handler], plugins: LoadedPlugins, folder: RunFolder
    ) -> None:
        self._handlers = handlers
        self._plugins = plugins
        self._folder = folder
        hook = plugins.manager.hook.mmar_on_event
        self._listens = bool(handlers) or bool(hook.get_hookimpls())
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._over: Future[None] = Future()
        self._given_up = asyncio.Event()
        self._telling = ""

    async def start(self) -> None:
        """Tell of START_RUN; what a handler raises here ends the run before it begins."""
        event = RunEvent(EventType.START_RUN, self._folder.number, self._folder.path)
        told: Future[None] = Future()
        self._put(partial(_resolve, told, partial(self._tell, event)))
        await asyncio.wrap_future(told)

    def emit(self, kind: EventType, round_number: int | None = None, **data: Any) -> None:
        """Tell of an event, without waiting for those who listen."""
        if self._listens:
            event = RunEvent(kind, self._folder.number, self._folder.path, round_number, data)
            self._put(partial(self._tell_safely, event))

    @property
    def telling(self) -> str:
        """Who is being told of what; empty if nobody."""
        return self._telling

    def give_up(self) -> None:
        """Let `close` wait for those who are being told for a few seconds only."""
        self._given_up.set()

    async def close(self) -> None:
        """Wait until everything that was emitted has been told.

        Once it was given up, a handler that does not return is left behind.
        """
        if self._thread is None:
            return
        self._queue.put(None)
        over = asyncio.wrap_future(self._over)
        hurry = asyncio.create_task(self._given_up.wait())
        both: set[asyncio.Future[Any]] = {over, hurry}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not over.done():
            await asyncio.wait({over}, timeout=_LAST_SECONDS)
        if not over.done():
            _log.error("%s has not returned; it is not waited for", self._telling or "a handler")

    def _put(self, work: Callable[[], None]) -> None:
        if self._thread is None:
            # Unlike a pool's, it does not keep the process: a handler may never return.
            self._thread = threading.Thread(target=self._run, name="events", daemon=True)
            self._thread.start()
        self._queue.put(work)

    def _run(self) -> None:
        try:
            while (work := self._queue.get()) is not None:
                work()
        finally:
            self._over.set_result(None)

    def _tell(self, event: RunEvent) -> None:
        for handler in self._handlers:
            self._tell_one(handler, event)
        self._notify(event)

    def _tell_safely(self, event: RunEvent) -> None:
        for handler in self._handlers:
            try:
                self._tell_one(handler, event)
            except ComponentFailedError as error:
                _log.error("%s", error.message, exc_info=error.__cause__)
        self._notify(event)

    def _notify(self, event: RunEvent) -> None:
        self._telling = f"a hook at {event.type}"
        for failure in self._plugins.notify(event):
            _log.error("plugin %s failed at %s: %s", failure.plugin, event.type, failure.message)
        self._telling = ""

    def _tell_one(self, handler: Handler, event: RunEvent) -> None:
        name = f"the handler {type(handler).__name__}"
        self._telling = f"{name} at {event.type}"
        try:
            handler.handle_event(event)
        except (Exception, SystemExit) as error:  # else it would end the thread of all events
            msg = f"{name} failed at {event.type}: {error}"
            raise ComponentFailedError(msg) from error
        finally:
            self._telling = ""


def _resolve(told: Future[None], tell: Callable[[], None]) -> None:
    if not told.set_running_or_notify_cancel():
        return
    try:
        tell()
    except ComponentFailedError as error:
        told.set_exception(error)
    else:
        told.set_result(None)
