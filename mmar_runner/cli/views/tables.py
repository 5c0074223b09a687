# SPDX-License-Identifier: Apache-2.0
"""Plain text tables, for output that is piped as often as it is read."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_GAP: Final = "  "
_NARROWEST: Final = 24
_UNBOUNDED: Final = 100_000


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    indent: int = 0,
    width: int | None = None,
) -> str:
    """Return rows in aligned columns; only the last column is wrapped.

    Args:
        head: The columns' titles.
        rows: One cell per column.
        indent: Spaces before every line.
        width: Letters of a line; None for standard output's, 0 for any number.
    """
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head) - 1)]
    before = indent + sum(widths) + len(_GAP) * len(widths)
    room = max(_NARROWEST, (_UNBOUNDED if width == 0 else width or _width()) - before)
    lines = []
    for row in cells:
        fixed = _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        first, *more = textwrap.wrap(row[-1], room) or [""]
        lines.append(f"{' ' * indent}{fixed}{_GAP}{first}".rstrip())
        lines += [" " * before + line for line in more]
    return "\n".join(lines)


def wrapped(text: str, *, indent: int = 0) -> str:
    """Return text in lines that fit the terminal."""
    space = " " * indent
    return textwrap.fill(text, _width(), initial_indent=space, subsequent_indent=space)


def _width() -> int:
    # A pipe has no width, and programs such as grep want one entry a line.
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _UNBOUNDED
