# SPDX-License-Identifier: Apache-2.0
"""Hands the events of a run to handlers and hooks, in order, off the event loop."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import ComponentFailedError
from mmar_runner.interfaces.handler import EventType, RunEvent
from mmar_runner.server.components.component_thread import ComponentThread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.handler import Handler
    from mmar_runner.server.records.workspace import RunFolder

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
        self._thread = ComponentThread("events")

    async def start(self) -> None:
        """Tell of START_RUN; what a handler raises here ends the run before it begins."""
        event = RunEvent(EventType.START_RUN, self._folder.number, self._folder.path)
        await asyncio.wrap_future(self._thread.submit(partial(self._tell, event)))

    def emit(self, kind: EventType, round_number: int | None = None, **data: Any) -> None:
        """Tell of an event, without waiting for those who listen."""
        if self._listens:
            event = RunEvent(kind, self._folder.number, self._folder.path, round_number, data)
            self._thread.post(partial(self._tell_safely, event))

    @property
    def doing(self) -> str:
        """Who is being told of what; empty if nobody."""
        return self._thread.doing

    def give_up(self) -> None:
        """Let `close` wait for those who are being told for a few seconds only."""
        self._thread.give_up()

    async def close(self) -> None:
        """Wait until everything that was emitted has been told; see `ComponentThread.close`."""
        await self._thread.close()

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
        with self._thread.does(f"a hook at {event.type}"):
            for failure in self._plugins.notify(event):
                _log.error(
                    "plugin %s failed at %s: %s", failure.plugin, event.type, failure.message
                )

    def _tell_one(self, handler: Handler, event: RunEvent) -> None:
        name = f"the handler {type(handler).__name__}"
        try:
            with self._thread.does(f"{name} at {event.type}"):
                handler.handle_event(event)
        except (Exception, SystemExit) as error:  # else it would end the thread of all events
            msg = f"{name} failed at {event.type}: {error}"
            raise ComponentFailedError(msg) from error
