# SPDX-License-Identifier: Apache-2.0
"""How much of what was said about a failed task leaves a site, and how much of it at most.

A site chooses its level in ``site_policy.json``. Sender and receiver cut what is said to the
same size: the server believes no site, and no site need send what the server throws away.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The most lines of a task's log that travel with its failure, and their bytes in UTF-8.
LOG_LINES: Final = 40
LOG_BYTES: Final = 8192
#: The most letters of one line.
LINE_LETTERS: Final = 1000
#: What stands for what was cut off.
_CUT: Final = " ..."


class Redaction(StrEnum):
    """What a site hides of a failed task.

    Attributes:
        EVERYTHING: Whatever a component said or logged: only the runner's own sentence leaves.
        VALUES: Numbers, quoted texts, paths, addresses; words, exception types and places in
            the code of the MMAR stay.
        NOTHING: Nothing.
    """

    EVERYTHING = "everything"
    VALUES = "values"
    NOTHING = "nothing"


def bounded(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the last of some lines, as many as may travel, harmless to a terminal.

    What is not printable becomes a space. A line that is too long loses its end.

    Args:
        lines: Any number, of any length, the oldest first.
    """
    kept: list[str] = []
    left = LOG_BYTES
    for line in reversed(list(lines)[-LOG_LINES:]):
        text = shortened(line)
        left -= len(text.encode(errors="replace")) + 1
        if left < 0:
            break
        kept.append(text)
    return tuple(reversed(kept))


def shortened(line: str) -> str:
    """Return one line, printable and not too long."""
    text = line if len(line) <= LINE_LETTERS else line[: LINE_LETTERS - len(_CUT)] + _CUT
    return "".join(c if c.isprintable() else " " for c in text).rstrip()
