# SPDX-License-Identifier: Apache-2.0
"""Ends this process when stopping it in order takes too long.

Whatever counts is on the disk by then, and children end with their parents: a process that
leaves without another word loses nothing. One that waits for ever for somebody's code, or
for a screen that nobody reads, would have to be killed by hand.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from queue import SimpleQueue
from typing import Final

_log = logging.getLogger(__name__)

#: How long stopping in order may take, in seconds.
STOP_SECONDS: Final = 9.0
#: How long saying why may take, in seconds: it may be what everything else waits for.
_LAST_WORDS_SECONDS: Final = 0.5
_SHOW_CURSOR: Final = "\x1b[?25h"


class LastResort:
    """A thread that ends the process some time after it was asked to.

    Args:
        code: The exit code of a process that did not end by itself.
        seconds: How long it may take to.
    """

    def __init__(self, code: int, *, seconds: float = STOP_SECONDS) -> None:
        self._code = code
        self._seconds = seconds
        # Unlike an event's, its lock may be asked for by a signal that came upon its owner.
        self._begun: SimpleQueue[None] = SimpleQueue()
        threading.Thread(target=self._wait, name="last-resort", daemon=True).start()

    def begin(self) -> None:
        """Count from now on; may be called by a signal's handler. It cannot be taken back."""
        self._begun.put(None)

    def _wait(self) -> None:
        self._begun.get()
        threading.Event().wait(self._seconds)
        words = threading.Thread(target=self._say, name="last-words", daemon=True)
        words.start()
        words.join(_LAST_WORDS_SECONDS)
        os._exit(self._code)

    def _say(self) -> None:
        _log.critical(
            "stopping in order took longer than %g s: leaving at once; what was acknowledged "
            "is kept, and the run can be resumed",
            self._seconds,
        )
        if sys.stdout.isatty():
            sys.stdout.write(_SHOW_CURSOR)
            sys.stdout.flush()
