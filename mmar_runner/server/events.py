# SPDX-License-Identifier: Apache-2.0
"""Hands the events of a run to handlers and hooks, in order, off the event loop."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.handler import EventType, RunEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.handler import Handler
    from mmar_runner.server.workspace import RunFolder

_log = logging.getLogger(__name__)


class EventDispatcher:
    """One thread that tells everyone who listens what happens.

    A handler that raises is logged; it cannot change or end a run, except at
    START_RUN, where the run has not begun yet.

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
            handler.handle_event(event)
        for failure in self._plugins.notify(event):
            _log.error("plugin %s failed at %s: %s", failure.plugin, event.type, failure.message)

    def _tell_safely(self, event: RunEvent) -> None:
        try:
            self._tell(event)
        except Exception:  # noqa: BLE001 - third-party code; the run must go on
            _log.exception("an event handler failed at %s", event.type)
