# SPDX-License-Identifier: Apache-2.0
"""``grep`` for a fixed text: no expression, so none that takes for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from mmar_runner.shell.arguments import Syntax, parsed
from mmar_runner.shell.output import Page, ShellOutput
from mmar_runner.shell.texts import TextFile, decoded, opened_text

if TYPE_CHECKING:
    from mmar_runner.shell.paths import Root

GREP: Final = Syntax("grep", "grep [-n -i -b] TEXT FILE", flags="nib", operands=("TEXT", "FILE"))


def grep(words: Sequence[str], root: Root) -> ShellOutput:
    """Show the lines that hold a text.

    Options: each with its number (-n), with the byte at which it begins (-b), and capital
    letters as small ones (-i). Of a line, its first 64 KiB are looked at.

    Raises:
        MmarRunnerError: It was called wrongly, or the file is not shown.
    """
    arguments = parsed(GREP, words)
    pattern, path = arguments.operands
    holds = _holder(pattern, ignore_case="i" in arguments.flags)
    page = Page()
    with opened_text(root, path) as text:
        for number, offset, line in _lines(text):
            if not holds(line):
                continue
            page.write(f"{number}:" if "n" in arguments.flags else "")
            page.write(f"{offset}:" if "b" in arguments.flags else "")
            page.write("".join(decoded([line.removesuffix(b"\n")])) + "\n")
            if page.full:
                break
        page.leave_out(text.unread)
    return page.finished()


def _holder(pattern: str, *, ignore_case: bool) -> Callable[[bytes], bool]:
    if not ignore_case:
        needle = pattern.encode()
        return lambda line: needle in line
    folded = pattern.casefold()
    return lambda line: folded in line.decode(errors="replace").casefold()


def _lines(text: TextFile) -> Iterator[tuple[int, int, bytes]]:
    """Yield the number of each line, where it begins, and as much of it as is looked at."""
    number, offset, begins = 0, 0, True
    for piece in text.pieces():
        if begins:
            number += 1
            yield number, offset, piece
        offset += len(piece)
        begins = piece.endswith(b"\n")
