# SPDX-License-Identifier: Apache-2.0
"""A download that hardly comes is given up, so that no server holds a client for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from mmar_runner.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T = TypeVar("T")

#: Seconds in which so many bytes must come. A chunk counts when all of it is there, so that
#: this asks for 1 MiB in the worst case: 70 kbit/s.
PACE_SECONDS: Final = 120.0
LEAST_BYTES: Final = 64 << 10


class Pace:
    """Holds one download to its least pace. Time that the client itself needs is not counted.

    Args:
        what: What is downloaded, for the sentence.
        seconds: In how many seconds the least number of bytes must come; None for the usual.
    """

    def __init__(self, what: str, seconds: float | None = None) -> None:
        self._what = what
        self._seconds = PACE_SECONDS if seconds is None else seconds
        self._left = self._seconds
        self._missing = LEAST_BYTES

    async def next(self, items: AsyncIterator[T]) -> T | None:
        """Return the next item; None at the end.

        Raises:
            UnreachableError: TOO_SLOW.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._left):
                item = await anext(items, None)
        except TimeoutError:
            raise self._too_slow() from None
        self._left = max(0.0, self._left - (loop.time() - began))
        return item

    def took(self, size: int) -> None:
        """See how many bytes an item had."""
        self._missing -= size
        if self._missing <= 0:
            self._left, self._missing = self._seconds, LEAST_BYTES

    def _too_slow(self) -> UnreachableError:
        msg = f"of {self._what} came less than {LEAST_BYTES} bytes in {self._seconds:g} s"
        hint = "look at the network, and at the server; the same command goes on where it was"
        return UnreachableError(msg, hint=hint, reason="TOO_SLOW")
