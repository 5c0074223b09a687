# SPDX-License-Identifier: Apache-2.0
"""What one of a trainer's processes prints, line by line, with its rank in front."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Final

_STANDARD_ERROR: Final = 2
#: A line that is longer is written in pieces, each with the rank in front, in bytes.
_PIECE_BYTES: Final = 1 << 16


class RankLog:
    """Hands on what is written into a pipe, from a thread of its own, to this process's log.

    Args:
        rank: Whose words they are.

    Attributes:
        end: The pipe's other end, which whoever writes gets; to be closed here then.
    """

    def __init__(self, rank: int) -> None:
        self._label = f"[rank {rank}] ".encode()
        self._begin, self.end = os.pipe()
        self._thread = threading.Thread(target=self._hand_on, name=f"log-{rank}", daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait until everything is handed on, because nobody writes any more.

        Args:
            seconds: How long to wait, should somebody still hold the pipe.
        """
        self._thread.join(seconds)

    def _hand_on(self) -> None:
        with open(self._begin, "rb") as pipe:  # noqa: PTH123 - a descriptor has no path
            while line := pipe.readline(_PIECE_BYTES):
                # One call a line: several threads write there. A full disk takes none.
                with suppress(OSError):
                    os.write(_STANDARD_ERROR, self._label + line.rstrip(b"\n") + b"\n")
