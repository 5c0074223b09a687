# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM: the first stops in order, the second at once."""

from __future__ import annotations

import asyncio
import signal


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set an event at the first signal; called inside the running event loop.

    Args:
        stop: What the first SIGINT or SIGTERM sets.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop_or_die, stop, number)


def _stop_or_die(stop: asyncio.Event, number: int) -> None:
    if stop.is_set():
        # The loop's own handler would only note the signal again.
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    stop.set()
