# SPDX-License-Identifier: Apache-2.0
"""Gives memory back that a crowd has left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mmar_runner.storage.memory import give_back_freed, rss_bytes

#: Seconds between two looks: a trim takes milliseconds, and faults its pages in again
#: where they are still needed, so that a busy server is not to do it all the time.
_PAUSE_SECONDS: Final = 2.0
#: How many bytes the process must have grown by since the last trim to be trimmed again.
_WORTH_BYTES: Final = 24 << 20


@contextmanager
def trimming() -> Iterator[None]:
    """Look now and then at how large this process is, and give back what it does not use.

    Connections that come in thousands and leave, even such that never spoke, take some
    40 KiB each, which the allocator would keep for ever.
    """
    loop = asyncio.get_running_loop()
    settled = rss_bytes() or 0
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal settled, timer
        if (rss_bytes() or 0) >= settled + _WORTH_BYTES:
            give_back_freed()
            settled = rss_bytes() or 0
        timer = loop.call_later(_PAUSE_SECONDS, look)

    timer = loop.call_later(_PAUSE_SECONDS, look)
    try:
        yield
    finally:
        timer.cancel()
