# SPDX-License-Identifier: Apache-2.0
"""Hands the events of a run to handlers and hooks, in order, off the event loop."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import ComponentFailedError
from mmar_runner.hooks.raised import told
from mmar_runner.interfaces.handler import EventType, RunEvent
from mmar_runner.server.components.component_thread import ComponentThread
from mmar_runner.server.records.failed_components import ComponentFailure
from mmar_runner.server.records.tracebacks import keep_traceback

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.handler import Handler
    from mmar_runner.server.records.failed_components import NoteFailure
    from mmar_runner.server.records.workspace import RunFolder


class EventDispatcher:
    """One thread that tells everyone who listens what happens.

    That a handler raises is noted, and the others are told all the same; it cannot
    change or end a run, except at START_RUN, where the run has not begun yet.

    Args:
        handlers: The MMAR's, in declared order, each after what sentences call it; told before
            the hooks.
        plugins: Whose ``mmar_on_event`` hooks are called.
        folder: The run.
        note: Takes note of whoever fails, or does not return.
    """

    def __init__(
        self,
        handlers: Sequence[tuple[str, Handler]],
        plugins: LoadedPlugins,
        folder: RunFolder,
        note: NoteFailure,
    ) -> None:
        self._handlers = handlers
        self._plugins = plugins
        self._folder = folder
        self._note = note
        self._now: tuple[str, RunEvent] | None = None
        hook = plugins.manager.hook.mmar_on_event
        self._listens = bool(handlers) or bool(hook.get_hookimpls())
        self._thread = ComponentThread("events")

    async def start(self) -> None:
        """Tell of START_RUN; what a handler raises here ends the run before it begins."""
        event = RunEvent(EventType.START_RUN, self._folder.number, self._folder.path)
        try:
            await asyncio.wrap_future(self._thread.submit(partial(self._tell, event)))
        except ComponentFailedError as error:
            cause = error.__cause__ or error
            error.hint = keep_traceback(self._folder.logs / "components.log", error.message, cause)
            raise

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
        if self._thread.left_behind and self._now is not None:
            (name, event), self._now = self._now, None
            message = "it has not returned, and was left behind"
            failure = ComponentFailure.of(name, event.type, event.round, message)
            self._note(failure, None)

    def _tell(self, event: RunEvent) -> None:
        for name, handler in self._handlers:
            self._tell_one(name, handler, event)
        self._notify(event)

    def _tell_safely(self, event: RunEvent) -> None:
        for name, handler in self._handlers:
            try:
                self._tell_one(name, handler, event)
            except ComponentFailedError as error:
                cause = error.__cause__ or error
                failure = ComponentFailure.of(name, event.type, event.round, cause)
                self._note(failure, cause)
        self._notify(event)

    def _notify(self, event: RunEvent) -> None:
        self._now = ("a hook", event)
        with self._thread.does(f"a hook at {event.type}"):
            for failed in self._plugins.notify(event):
                name = f"the plugin {failed.plugin}"
                failure = ComponentFailure.of(name, event.type, event.round, failed.message)
                self._note(failure, failed.traceback)

    def _tell_one(self, name: str, handler: Handler, event: RunEvent) -> None:
        self._now = (name, event)
        try:
            with self._thread.does(f"the handler {type(handler).__name__} at {event.type}"):
                handler.handle_event(event)
        except (Exception, SystemExit) as error:  # else it would end the thread of all events
            msg = f"{name} failed at {event.type}: {told(error)}"
            raise ComponentFailedError(msg) from error
