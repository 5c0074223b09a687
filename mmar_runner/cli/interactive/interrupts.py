# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while something is carried out: it ends the waiting for it, not the console."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def unless_interrupted(work: Coroutine[Any, Any, None]) -> bool:
    """Wait for something, and return False if Ctrl-C has ended it before."""
    task = asyncio.ensure_future(work)
    loop, asked = asyncio.get_running_loop(), False

    def interrupt() -> None:
        nonlocal asked
        asked = True
        task.cancel()

    before = signal.getsignal(signal.SIGINT)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        await task
    except asyncio.CancelledError:
        if not asked:  # the console itself is ending
            task.cancel()
            raise
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)
    return not asked
