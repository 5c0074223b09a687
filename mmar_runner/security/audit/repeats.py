# SPDX-License-Identifier: Apache-2.0
"""Refusals that repeat: the first is a line at once, the others are one line together.

Whoever knocks a thousand times a minute must not fill the disk, nor hide what else
happens. Pure: the clock is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.security.audit.line import Entry

#: For how long refusals of one kind are counted, in seconds.
WINDOW_SECONDS: Final = 60.0
#: Kinds that are counted at once; the oldest is written when there are more.
MAX_KINDS: Final = 1024


@dataclass(slots=True)
class _Window:
    begun: float
    count: int = 0
    last: Entry | None = None


class Repeats:
    """Counts refusals that have the same who, reason and action."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str, str], _Window] = {}

    def pass_on(self, entry: Entry) -> Iterator[Entry]:
        """Yield what is to be written because of an entry; a repeat is only counted."""
        if entry.decision != "refused":
            yield entry
            return
        yield from self.ended(entry.time)
        kind = (entry.who, entry.reason, entry.action)
        window = self._windows.get(kind)
        if window is not None:
            window.count += 1
            window.last = entry
            return
        if len(self._windows) >= MAX_KINDS:
            yield from _line(self._windows.pop(next(iter(self._windows))))
        self._windows[kind] = _Window(entry.time)
        yield entry

    def ended(self, now: float | None = None) -> Iterator[Entry]:
        """Yield a line for every window that is over; None ends them all.

        Args:
            now: Seconds since 1970. A clock that was set back ends windows too.
        """
        for kind, window in list(self._windows.items()):
            if now is None or not 0 <= now - window.begun < WINDOW_SECONDS:
                del self._windows[kind]
                yield from _line(window)

    def next_end(self) -> float | None:
        """Return when the next window with something in it is over; None for never."""
        ends = (one.begun + WINDOW_SECONDS for one in self._windows.values() if one.count)
        return min(ends, default=None)


def _line(window: _Window) -> Iterator[Entry]:
    if window.last is not None:
        data = {**window.last.data, "repeated": window.count}
        yield replace(window.last, data=data)
