# SPDX-License-Identifier: Apache-2.0
"""An event loop under a simulated clock: no selector, no thread, no waiting."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulated_world.process import Process

_set_running_loop = asyncio._set_running_loop


class ProcessLoop(asyncio.BaseEventLoop):
    """The event loop of one process. The world calls `step` when something is `due`.

    Work for threads is done in the loop itself, at a later time: other steps come between
    the call and the work, and between the work and its result.

    Attributes:
        unfinished: The tasks that have not ended, so that none of them ends unseen.
    """

    def __init__(self, process: Process) -> None:
        super().__init__()
        self._process = process
        self._world = process.world
        self._threads: dict[Any, float] = {}
        self.unfinished: dict[asyncio.Task[Any], None] = {}
        self.set_task_factory(self._make_task)

    def time(self) -> float:
        """Return the world's time."""
        return self._world.now

    def due(self) -> float:
        """Return when something is to be run; infinity if never."""
        if self._ready:
            return self._world.now
        scheduled = self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        return scheduled[0]._when if scheduled else math.inf

    def step(self) -> None:
        """Run what is due, as long as the process lives."""
        scheduled, ready, now = self._scheduled, self._ready, self._world.now
        while scheduled and scheduled[0]._when <= now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        _set_running_loop(self)
        try:
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle._cancelled:
                    handle._run()
                if not self._process.alive:
                    return
        finally:
            _set_running_loop(None)

    def be_running(self, call: Callable[[], None]) -> None:
        """Call something that has to find this loop running."""
        _set_running_loop(self)
        try:
            call()
        finally:
            _set_running_loop(None)

    def run_in_executor(
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Have something done by a thread: later, and in order if there is only one."""
        future = self.create_future()
        begins = self._world.now
        if getattr(executor, "_max_workers", 0) == 1:
            begins = max(begins, self._threads.get(executor, begins))
        at = begins + self._world.rng.uniform(0, self._world.weather.thread)
        self._threads[executor] = at
        self.call_at(at, self._work, future, partial(func, *args))
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Note what failed in a callback of a process that lives; nobody else would see it."""
        error = context.get("exception")
        if self._process.alive and "handle" in context and isinstance(error, Exception):
            text = f"{self._process.name}: {context.get('message')}: {error!r}"
            self._world.defects.append(text)

    def _work(self, future: asyncio.Future[Any], call: Callable[[], Any]) -> None:
        if future.cancelled() and self._world.chance(0.5):
            return  # its thread had not begun
        try:
            result, error = call(), None
        except Exception as raised:  # noqa: BLE001 - it is the caller's
            result, error = None, raised
        pause = self._world.rng.uniform(0, self._world.weather.thread / 2)
        self.call_later(pause, _settle, future, result, error)

    def _make_task(self, loop: Any, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
        self.unfinished[task] = None
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self.unfinished.pop(task, None)

    def _write_to_self(self) -> None:
        """Do nothing: nothing waits in a selector."""


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
