# SPDX-License-Identifier: Apache-2.0
"""Tables of a page: what stands in them, and how much of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import human_bytes, human_seconds
from mmar_runner.reporting.scales import short

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Rows of one table at most, and rows from which on it is folded.
_MOST_ROWS: Final = 2_500
_FOLDED: Final = 16
_DIGITS: Final = re.compile(r"(\d{1,18})")
NOTHING: Final = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table as a page shows it.

    Attributes:
        caption: What it is.
        head: Names of its columns.
        kinds: A letter for each column: ``t`` for text, ``n`` for numbers, ``c`` for digests,
            ``m`` for messages, ``d`` for dates.
        rows: Texts, by column.
        folded: Whether it is shown only if somebody opens it.
        left_out: How many rows stand in the middle and are not shown.
    """

    caption: str
    head: tuple[str, ...]
    kinds: str
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False
    left_out: int = 0


def table(
    caption: str,
    columns: Sequence[tuple[str, str]],
    rows: Sequence[tuple[str, ...]],
    *,
    folded: bool | None = None,
) -> Table:
    """Return a table; a very long one loses its middle.

    Args:
        caption: What it is.
        columns: Name and kind of every column.
        rows: Texts, by column.
        folded: Whether it is folded; None for: if it is long.
    """
    left_out = max(0, len(rows) - _MOST_ROWS)
    if left_out:
        half = _MOST_ROWS // 2
        rows = (*rows[:half], *rows[-half:])
    return Table(
        caption=caption,
        head=tuple(name for name, _ in columns),
        kinds="".join(kind for _, kind in columns),
        rows=tuple(rows),
        folded=len(rows) > _FOLDED if folded is None else folded,
        left_out=left_out,
    )


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts ``site-2`` before ``site-10``."""
    parts = _DIGITS.split(name)
    return [(int(part), "") if at % 2 else (-1, part) for at, part in enumerate(parts)]


def _said(say: Callable[[float], str]) -> Callable[[float | None], str]:
    def words(value: float | None) -> str:
        return NOTHING if value is None or value != value else say(value)  # noqa: PLR0124 - NaN

    return words


def _bytes(count: float) -> str:
    return human_bytes(count) if abs(count) < 1 << 60 else f"{count:.3g} B"


def _seconds(seconds: float) -> str:
    if 0 <= seconds < 0.001:  # noqa: PLR2004
        return f"{seconds * 1000:.2g} ms" if seconds else "0 s"
    return human_seconds(seconds) if 0 <= seconds < 1e9 else f"{seconds:.3g} s"  # noqa: PLR2004


#: Write a number that may not be known: in a table, of bytes, of seconds, of things counted.
number_text = _said(short)
bytes_text = _said(_bytes)
seconds_text = _said(_seconds)
count_text = _said(lambda value: f"{value:,.0f}" if abs(value) < 1e15 else short(value))  # noqa: PLR2004
share_text = _said(lambda value: f"{value:.1%}")


def time_text(seconds: float | None) -> str:
    """Return a moment in UTC; seconds since 1970."""
    if seconds is None:
        return NOTHING
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return NOTHING
