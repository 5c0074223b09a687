# SPDX-License-Identifier: Apache-2.0
"""What a command prints, as far as the log takes it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

#: Of what a command prints beyond its share, so many bytes of the end are kept.
_TAIL_BYTES: Final = 16 * 1024
#: The longest piece of a line that a sentence repeats, in characters.
_SHOWN: Final = 200


class BoundedOutput:
    """Passes a command's output on to a log, up to a limit, and keeps its end.

    Args:
        limit: Bytes that are passed on as they come; of the rest the end follows at last.
        descriptor: The log; a disk that takes none costs the log, and not the work.
    """

    def __init__(self, limit: int, descriptor: int) -> None:
        self._left = limit
        self._descriptor = descriptor
        self._tail = b""
        self._held = 0

    def take(self, data: bytes) -> None:
        """Take what was printed."""
        passed, rest = data[: self._left], data[self._left :]
        self._left -= len(passed)
        self._write(passed)
        self._held += len(rest)
        self._tail = (self._tail + data)[-_TAIL_BYTES:]

    def finish(self) -> None:
        """Say how much was left out, and write the end of it."""
        if not self._held:
            return
        kept = self._tail[-self._held :]
        self._write(f"\n... {self._held - len(kept)} bytes are left out here ...\n".encode())
        self._write(kept)
        self._held = 0

    @property
    def last_line(self) -> str:
        """The last line that is not empty, shortened; or empty."""
        lines = self._tail.decode(errors="replace").split("\n")
        shown = [line.strip() for line in lines if line.strip()]
        return shown[-1][:_SHOWN] if shown else ""

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        with suppress(OSError):
            while left:
                left = left[os.write(self._descriptor, left) :]
