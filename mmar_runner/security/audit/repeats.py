# SPDX-License-Identifier: Apache-2.0
"""Events that repeat: the first are lines at once, the others are one line together.

Whoever knocks a thousand times a minute must not fill the disk, nor hide what else
happens; that holds for whoever is let in too. Pure: the clock is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.security.audit.line import Entry

#: For how long events of one kind are counted, in seconds.
WINDOW_SECONDS: Final = 60.0
#: Kinds that are counted at once; the oldest is written when there are more.
MAX_KINDS: Final = 1024
#: Lines that a kind has in a window before it is counted. Of what is refused, one says it
#: all; what is accepted or noted is told in order, such as that a client left and came back.
_REFUSED_LINES: Final = 1
ORDINARY_LINES: Final = 10

_Kind: TypeAlias = tuple[str, str, str, str]


@dataclass(slots=True)
class _Window:
    begun: float
    lines: int
    count: int = 0
    last: Entry | None = None


class Repeats:
    """Counts events of one kind.

    A refusal's kind is who, action and reason. Of what is accepted or noted it is who,
    action, decision and client; not the rest, which a caller may choose anew each time.
    """

    def __init__(self) -> None:
        self._windows: dict[_Kind, _Window] = {}

    def pass_on(self, entry: Entry) -> Iterator[Entry]:
        """Yield what is to be written because of an entry; a repeat is only counted."""
        yield from self.ended(entry.time)
        kind = _kind(entry)
        window = self._windows.get(kind)
        if window is None:
            if len(self._windows) >= MAX_KINDS:
                yield from _line(self._windows.pop(next(iter(self._windows))))
            window = self._windows[kind] = _Window(entry.time, _lines(entry))
        if window.lines:
            window.lines -= 1
            yield entry
            return
        window.count += 1
        window.last = entry

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


def _kind(entry: Entry) -> _Kind:
    if entry.decision == "refused":
        return (entry.who, entry.action, entry.decision, entry.reason)
    return (entry.who, entry.action, entry.decision, str(entry.data.get("client", "")))


def _lines(entry: Entry) -> int:
    return _REFUSED_LINES if entry.decision == "refused" else ORDINARY_LINES


def _line(window: _Window) -> Iterator[Entry]:
    if window.last is not None:
        data = {**window.last.data, "repeated": window.count}
        yield replace(window.last, data=data)
