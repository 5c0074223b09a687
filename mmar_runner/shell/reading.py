# SPDX-License-Identifier: Apache-2.0
"""``cat``, ``head`` and ``tail``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from mmar_runner.shell.arguments import Arguments, Syntax, parsed
from mmar_runner.shell.output import Page, ShellOutput
from mmar_runner.shell.texts import TextFile, decoded, opened_text

if TYPE_CHECKING:
    from mmar_runner.shell.paths import Root

CAT: Final = Syntax("cat", "cat [-n -b -s -T] FILE", flags="nbsT", operands=("FILE",))
HEAD: Final = Syntax("head", "head [-n N | -c N] FILE", numbers="nc", operands=("FILE",))
TAIL: Final = Syntax("tail", "tail [-n N | -c N] FILE", numbers="nc", operands=("FILE",))
#: Lines that ``head`` and ``tail`` show if nothing else is said.
_LINES: Final = 10


def cat(words: Sequence[str], root: Root) -> ShellOutput:
    """Show a file.

    Options: its lines numbered (-n), those that are not empty numbered (-b), of several empty
    ones only the first (-s), tabs as ``^I`` (-T).

    Raises:
        MmarRunnerError: It was called wrongly, or the file is not shown.
    """
    arguments = parsed(CAT, words)
    page = Page()
    with opened_text(root, arguments.operands[0]) as text:
        for line in _lines_of_cat(text.pieces(), arguments.flags):
            page.write(line)
            if page.full:
                break
        page.leave_out(text.unread)
    return page.finished()


def head(words: Sequence[str], root: Root) -> ShellOutput:
    """Show the first lines (-n) or bytes (-c) of a file.

    Raises:
        MmarRunnerError: It was called wrongly, or the file is not shown.
    """
    arguments = parsed(HEAD, words)
    page = Page()
    unit, most = _extent(HEAD, arguments)
    with opened_text(root, arguments.operands[0]) as text:
        first = _first_bytes(text, most) if unit == "c" else _first_lines(text, most)
        for part in decoded(first):
            if page.full and part:
                page.leave_out(len(part.encode()) + text.unread)
                break
            page.write(part)
    return page.finished()


def tail(words: Sequence[str], root: Root) -> ShellOutput:
    """Show the last lines (-n) or bytes (-c) of a file; nothing before them is read.

    Raises:
        MmarRunnerError: It was called wrongly, or the file is not shown.
    """
    arguments = parsed(TAIL, words)
    page = Page()
    unit, most = _extent(TAIL, arguments)
    with opened_text(root, arguments.operands[0]) as text:
        size = min(text.size, page.limit)
        text.file.seek(text.size - size)
        last = text.file.read(size)
    start = max(0, len(last) - most) if unit == "c" else _start_of_lines(last, most)
    wanted_more = start == 0 and (unit == "n" or most > len(last))
    if wanted_more and text.size > size:
        page.note(f"only the last {size} bytes of {text.size} were looked at")
    page.write_end("".join(decoded([last[start:]])))
    return page.finished()


def _extent(syntax: Syntax, arguments: Arguments) -> tuple[str, int]:
    if len(arguments.numbers) > 1:
        raise syntax.wrong("'-n' and '-c' exclude each other")
    return next(iter(arguments.numbers.items()), ("n", _LINES))


def _lines_of_cat(pieces: Iterable[bytes], flags: Sequence[str]) -> Iterator[str]:
    number, empty_before, begins = 0, False, True
    for piece in decoded(pieces):
        empty = begins and piece == "\n"
        if empty and empty_before and "s" in flags:
            continue
        empty_before = empty
        counts = begins and bool(piece) and _is_numbered(flags, empty=empty)
        number += counts
        line = piece.replace("\t", "^I") if "T" in flags else piece
        yield f"{number:6d}\t{line}" if counts else line
        begins = piece.endswith("\n")


def _is_numbered(flags: Sequence[str], *, empty: bool) -> bool:
    return not empty if "b" in flags else "n" in flags


def _first_lines(text: TextFile, most: int) -> Iterator[bytes]:
    pieces = text.pieces()
    while most > 0 and (piece := next(pieces, None)) is not None:
        most -= piece.endswith(b"\n")
        yield piece


def _first_bytes(text: TextFile, most: int) -> Iterator[bytes]:
    for piece in text.pieces():
        yield piece[:most]
        most -= len(piece)
        if most <= 0:
            break


def _start_of_lines(data: bytes, most: int) -> int:
    """Return where the last lines begin; 0 if there are not that many."""
    at = len(data) - data.endswith(b"\n")
    if most == 0:
        return len(data)
    for _ in range(most):
        at = data.rfind(b"\n", 0, at)
        if at < 0:
            break
    return at + 1
