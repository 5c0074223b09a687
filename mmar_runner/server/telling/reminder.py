# SPDX-License-Identifier: Apache-2.0
"""Says again, from time to time, that something lasts: silence looks like a fault."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import some_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

#: After how long it is said for the first time, and then each time, in seconds.
FIRST_SECONDS: Final = 30.0
AGAIN_SECONDS: Final = 60.0
#: Names of those that are missing that a sentence says.
SHOWN: Final = 8


class Reminder:
    """Calls back after a while, and then regularly, until it is ended.

    Args:
        tell: Gets how long it has lasted, in seconds.
        first: After how many seconds it is called first.
        again: After how many more each further time.
    """

    def __init__(self, tell: Callable[[float], None], first: float, again: float) -> None:
        self._tell = tell
        self._first = first
        self._again = again
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Count from now on."""
        self.end()
        loop = asyncio.get_running_loop()
        self._since = loop.time()
        self._timer = loop.call_later(self._first, self._due)

    def end(self) -> None:
        """Be silent; calling it again does nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._again, self._due)
        self._tell(loop.time() - self._since)


def gone(asked: Collection[str], present: Collection[str]) -> str:
    """Return the names of clients that are asked for something and have gone: ``a and 2 more``.

    Args:
        asked: Who has not given it yet.
        present: Who is there.
    """
    return some_of(sorted(set(asked) - set(present)), SHOWN)
