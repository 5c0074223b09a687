# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM: the first stops in order and in time, the second at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mmar_runner.children.last_resort import LastResort
from mmar_runner.errors import RunStoppedError

if TYPE_CHECKING:
    from types import FrameType

#: The live table hides the cursor, and whoever is killed cannot show it again.
_LAST_WORDS: Final = b"\x1b[?25h\r\nended at once; what was acknowledged is kept\r\n"


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set an event at the first signal; called inside the running event loop.

    A process that has not ended in order some seconds later is ended all the same, with
    the exit code of one that was stopped.

    Args:
        stop: What the first SIGINT or SIGTERM sets.
    """
    handler = _Handler(stop)
    _wake_loop_at_signals()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Not the loop's own handler: the loop itself may be what does not go on.
        signal.signal(number, handler)


class _Handler:
    """What happens at a signal."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._last_resort = LastResort(RunStoppedError.exit_code)
        self._seen = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self._seen or self._loop.is_closed():
            signal.signal(number, signal.SIG_DFL)
            _leave_terminal()
            signal.raise_signal(number)
            return
        self._seen = True
        self._last_resort.begin()
        self._loop.call_soon_threadsafe(self._stop.set)


def _wake_loop_at_signals() -> None:
    """Let a signal end the loop's wait, wherever it came in.

    A handler runs between two bytecodes of the main thread. A signal that came just before
    the loop went to wait, or in another thread, would be seen only when the wait ends.
    """
    # Left open on purpose: a number that is closed would be written to as another file's.
    awake, wake = os.pipe()
    for end in (awake, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    asyncio.get_running_loop().add_reader(awake, os.read, awake, 64)


def _leave_terminal() -> None:
    """Show the cursor again where a person watches, without waiting for a screen that stands."""
    with suppress(OSError, ValueError):  # no terminal, or one that takes nothing
        # Opened anew: what is made non-blocking here is not the shell's.
        flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK
        terminal = os.open(os.ttyname(sys.stdout.fileno()), flags)
        os.write(terminal, _LAST_WORDS)
