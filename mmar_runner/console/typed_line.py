# SPDX-License-Identifier: Apache-2.0
"""One line of the console: words, and the file of this machine that the answer goes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.errors import UsageError
from mmar_runner.orders.typed import split

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where an answer is written instead of the screen.

    Attributes:
        path: A file of this machine.
        append: Whether it is added to what is there.
    """

    path: str
    append: bool


@dataclass(frozen=True, slots=True)
class TypedLine:
    """What one line says; without words it says nothing.

    Attributes:
        words: The command and what follows it.
        redirect: Where the answer goes, or None for the screen.
    """

    words: tuple[str, ...]
    redirect: Redirect | None = None


def typed_line(line: str) -> TypedLine:
    """Read one line: ``COMMAND... [> FILE | >> FILE] [# remark]``.

    A line that is blank, or begins with ``#`` or with a hyphen and a blank, is a remark. A
    quoted ``>`` or ``#``, or one within a word, has no meaning.

    Raises:
        UsageError: A quote is not closed, or no file is named where one should be.
    """
    line = line.strip()
    if line == "-" or line.startswith("- "):
        return TypedLine(())
    starts = list(_word_starts(line))
    remark = next((at for at in starts if line[at] == "#"), len(line))
    arrow = next((at for at in starts if at < remark and line[at] == ">"), None)
    if arrow is None:
        return TypedLine(tuple(split(line[:remark])))
    words = tuple(split(line[:arrow]))
    if not words:
        msg = f"nothing stands before {line[arrow:]!r}"
        raise UsageError(msg, hint="COMMAND > FILE writes a command's answer into a file")
    return TypedLine(words, _redirect(line[arrow:remark]))


def _redirect(text: str) -> Redirect:
    append = text.startswith(">>")
    named = split(text[2 if append else 1 :])
    if len(named) != 1:
        msg = f"{text.strip()!r} names {'no file' if not named else 'more than one file'}"
        hint = "one word follows: > FILE, or >> FILE to add to it; quotes hold blanks together"
        raise UsageError(msg, hint=hint)
    return Redirect(named[0], append)


def _word_starts(line: str) -> Iterator[int]:
    """Yield where words begin outside of quotes."""
    quote, before = "", " "
    for at, char in enumerate(line):
        if not quote and before.isspace() and not char.isspace():
            yield at
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        before = char
