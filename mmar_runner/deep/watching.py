# SPDX-License-Identifier: Apache-2.0
"""Work of a deep check that somebody waits for, and may interrupt."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from types import FrameType
    from typing import Any

    from mmar_runner.interfaces.observer import Observation

_Result = TypeVar("_Result")
#: Seconds between two signs of life.
_EVERY: Final = 10.0


class Watcher(Protocol):
    """Whoever waits for a deep check."""

    def stage(self, text: str) -> None:
        """Hear what is begun: a sentence without its end."""
        ...

    def observe(self, observation: Observation) -> None:
        """See what the server of a dry run observes."""
        ...

    def waits(self) -> None:
        """Hear that it goes on; called every ten seconds."""
        ...


class Nobody:
    """Hears and sees everything, and says nothing."""

    def stage(self, text: str) -> None:
        """Say nothing."""

    def observe(self, observation: Observation) -> None:
        """Say nothing."""

    def waits(self) -> None:
        """Say nothing."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Have SIGTERM interrupt this process as Ctrl-C does, instead of ending it at once.

    So whoever ends it leaves nothing of it in memory. Called in the main thread.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def run_watched(
    runner: asyncio.Runner, work: Coroutine[Any, Any, _Result], watcher: Watcher
) -> _Result:
    """Return what a piece of work returns; SIGTERM ends it in order, as Ctrl-C does.

    Raises:
        KeyboardInterrupt: It was interrupted.
    """
    told: list[signal.Signals] = []
    before = signal.getsignal(signal.SIGTERM)
    try:
        return runner.run(_watched(work, watcher, told))
    except asyncio.CancelledError:
        if told:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


async def _watched(
    work: Coroutine[Any, Any, _Result], watcher: Watcher, told: list[signal.Signals]
) -> _Result:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def end() -> None:
        told.append(signal.SIGTERM)
        if task is not None:
            task.cancel()

    loop.add_signal_handler(signal.SIGTERM, end)
    ticking = asyncio.create_task(_tick(watcher))
    try:
        return await work
    finally:
        ticking.cancel()
        loop.remove_signal_handler(signal.SIGTERM)


async def _tick(watcher: Watcher) -> None:
    while True:
        await asyncio.sleep(_EVERY)
        watcher.waits()
