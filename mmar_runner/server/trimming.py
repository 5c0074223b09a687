# SPDX-License-Identifier: Apache-2.0
"""Gives memory back that a crowd has left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from mmar_runner.storage.memory import give_back_freed, rss_bytes

#: Seconds between two looks.
_PAUSE_SECONDS: Final = 2.0
#: How many bytes above the least it ever had a process must be to be worth a trim, and
#: how many above the last trim: a trim takes milliseconds, and its pages may come again.
_WORTH_BYTES: Final = 24 << 20
_NEWS_BYTES: Final = 4 << 20
#: Seconds after which what was in use at the last trim may be free by now.
_AGAIN_SECONDS: Final = 10.0
#: The least time between two trims, in durations of the last: one looks at every object, and
#: nothing else happens meanwhile.
_PACE: Final = 50.0


class Trimmer:
    """Judges when freed memory is worth giving back, and gives it.

    Connections that come in thousands and leave, even such that never spoke, take some
    40 KiB each, which the allocator would keep for ever.

    Args:
        rss: Returns how large the process is, in bytes.
        trim: Gives back what is not used.
        now: The time in seconds.
    """

    def __init__(
        self, rss: Callable[[], int], trim: Callable[[], None], now: Callable[[], float]
    ) -> None:
        self._rss, self._trim, self._now = rss, trim, now
        self._least = self._last = rss()
        self._trimmed_at = now()
        self._took = 0.0

    def look(self) -> None:
        """Trim if it is worth it."""
        size, now = self._rss(), self._now()
        news = size >= self._last + _NEWS_BYTES or now >= self._trimmed_at + _AGAIN_SECONDS
        soon = now < self._trimmed_at + _PACE * self._took
        if size < self._least + _WORTH_BYTES or not news or soon:
            return
        self._trim()
        self._trimmed_at = self._now()
        self._took = self._trimmed_at - now
        self._last = self._rss()
        self._least = min(self._least, self._last)


@contextmanager
def trimming() -> Iterator[None]:
    """Look now and then at how large this process is, and give back what it does not use."""
    loop = asyncio.get_running_loop()
    trimmer = Trimmer(lambda: rss_bytes() or 0, give_back_freed, loop.time)
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal timer
        trimmer.look()
        timer = loop.call_later(_PAUSE_SECONDS, look)

    timer = loop.call_later(_PAUSE_SECONDS, look)
    try:
        yield
    finally:
        timer.cancel()
