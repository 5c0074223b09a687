# SPDX-License-Identifier: Apache-2.0
"""Says in the log what nobody foresaw: in full, but not as often as a peer can cause it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, TypeAlias

_log = logging.getLogger(__name__)

#: For how long a cause is not told again, in seconds.
SILENT_SECONDS: Final = 60.0
#: Causes that are remembered.
_MOST: Final = 256

_Cause: TypeAlias = tuple[str, type[BaseException], str, int]


class Faults:
    """The traceback of each cause, at most once a minute.

    Args:
        clock: Seconds of a clock that does not run backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[_Cause, float] = {}

    def tell(self, method: str, error: BaseException) -> None:
        """Log an error of a call, unless the same was told a moment ago.

        Args:
            method: The call.
            error: What it raised; its cause is the line that raised it.
        """
        now, cause = self._clock(), (method, type(error), *_place(error.__traceback__))
        told = self._told.get(cause)
        if told is not None and now - told < SILENT_SECONDS:
            return
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[cause] = now
        _log.error("a call of %s failed unexpectedly", method, exc_info=error)


def _place(traceback: TracebackType | None) -> tuple[str, int]:
    """Return file and line of the innermost frame."""
    if traceback is None:
        return ("", 0)
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return (traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
