# SPDX-License-Identifier: Apache-2.0
"""Hands the events of a run to handlers and hooks, in order, off the event loop."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import ComponentFailedError
from mmar_runner.interfaces.handler import EventType, RunEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.handler import Handler
    from mmar_runner.server.workspace import RunFolder

_log = logging.getLogger(__name__)


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
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="events")

    async def start(self) -> None:
        """Tell of START_RUN; what a handler raises here ends the run before it begins."""
        event = RunEvent(EventType.START_RUN, self._folder.number, self._folder.path)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._tell, event)

    def emit(self, kind: EventType, round_number: int | None = None, **data: Any) -> None:
        """Tell of an event, without waiting for those who listen."""
        if self._listens:
            event = RunEvent(kind, self._folder.number, self._folder.path, round_number, data)
            self._thread.submit(self._tell_safely, event)

    async def close(self) -> None:
        """Wait until everything that was emitted has been told."""
        await asyncio.to_thread(self._thread.shutdown)

    def _tell(self, event: RunEvent) -> None:
        for handler in self._handlers:
            _tell_one(handler, event)
        self._notify(event)

    def _tell_safely(self, event: RunEvent) -> None:
        for handler in self._handlers:
            try:
                _tell_one(handler, event)
            except ComponentFailedError as error:
                _log.error("%s", error.message, exc_info=error.__cause__)
        self._notify(event)

    def _notify(self, event: RunEvent) -> None:
        for failure in self._plugins.notify(event):
            _log.error("plugin %s failed at %s: %s", failure.plugin, event.type, failure.message)


def _tell_one(handler: Handler, event: RunEvent) -> None:
    try:
        handler.handle_event(event)
    except Exception as error:
        msg = f"the handler {type(handler).__name__} failed at {event.type}: {error}"
        raise ComponentFailedError(msg) from error
