# SPDX-License-Identifier: Apache-2.0
"""What a child has logged since a moment: its last lines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from mmar_runner.storage.bounded import opened

if TYPE_CHECKING:
    from pathlib import Path

#: The most bytes of a log that are looked at.
_TAIL_BYTES: Final = 1 << 16


def log_end(log: Path) -> int:
    """Return how long a log is now, in bytes; 0 if there is none."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def lines_since(log: Path, begin: int) -> tuple[str, ...]:
    """Return the last lines that were written to a log since a moment, the oldest first.

    What is no UTF-8 is shown as question marks. A log that cannot be read has no lines.

    Args:
        log: The file.
        begin: How long it was at that moment, in bytes.
    """
    try:
        with opened(log) as file:
            found = os.fstat(file.fileno())
            if not os.path.samestat(found, log.lstat()):
                return ()  # a link, which whoever works there may have put in its place
            size = found.st_size
            start = max(begin, size - _TAIL_BYTES)
            file.seek(start)
            text = file.read(size - start).decode(errors="replace")
    except (OSError, ValueError):
        return ()
    lines = text.splitlines()
    return tuple(lines[1:] if start > begin else lines)  # the first one may lack its beginning
