# SPDX-License-Identifier: Apache-2.0
"""The words of a command: options and operands, and nothing that anybody would expand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from mmar_runner.documents.words import printable
from mmar_runner.errors import UsageError
from mmar_runner.shell.limits import MOST_WORDS, WORD_LETTERS

_NUMBER: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Syntax:
    """How a command is called.

    Attributes:
        name: The command.
        usage: The whole, for people: ``head [-n N] [-c N] FILE``.
        flags: Letters of options without a value.
        numbers: Letters of options that take a number.
        operands: Names of what stands beside the options.
        optional: How many of the last operands may be left out.
    """

    name: str
    usage: str
    flags: str = ""
    numbers: str = ""
    operands: tuple[str, ...] = ()
    optional: int = 0

    def wrong(self, cause: str) -> UsageError:
        """Return the error that says what is wrong with a call."""
        return UsageError(f"{self.name}: {cause}", hint=f"usage: {self.usage}")


@dataclass(slots=True)
class Arguments:
    """What a command was called with.

    Attributes:
        flags: Letters of options without a value, in their order.
        numbers: Values of the others, by letter.
        operands: What stood beside them.
    """

    flags: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    operands: list[str] = field(default_factory=list)

    def last_of(self, letters: str) -> str | None:
        """Return which of some flags was given last, or None."""
        return next((flag for flag in reversed(self.flags) if flag in letters), None)


def require_words(words: Sequence[str]) -> None:
    """Refuse what is no list of words.

    Raises:
        UsageError: There is none, there are too many, or one is too long or no text.
    """
    if not words:
        raise UsageError("no command was named", hint="name one, such as: ls")
    if len(words) > MOST_WORDS:
        raise UsageError(
            f"a command of {len(words)} words", hint=f"give {MOST_WORDS} words at most"
        )
    for number, word in enumerate(words, 1):
        if len(word) > WORD_LETTERS:
            raise UsageError(
                f"word {number} has {len(word)} letters", hint=f"{WORD_LETTERS} are the most"
            )
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise UsageError(f"word {number} is no text: {printable(word)}", hint="give UTF-8")


def parsed(syntax: Syntax, words: Sequence[str]) -> Arguments:
    """Tell options from operands.

    Args:
        syntax: What the command takes.
        words: All words after its name. After ``--``, every word is an operand.

    Raises:
        UsageError: An unknown option, a number that is none, an operand too many or missing.
    """
    found = Arguments()
    rest = iter(words)
    for word in rest:
        if word == "--":
            found.operands += rest
        elif word.startswith("-") and word != "-":
            _take_options(syntax, word, rest, found)
        else:
            found.operands.append(word)
    _require_operands(syntax, found.operands)
    return found


def _take_options(syntax: Syntax, word: str, rest: Iterator[str], found: Arguments) -> None:
    for at, letter in enumerate(word[1:], 2):
        if letter in syntax.flags:
            found.flags.append(letter)
        elif letter in syntax.numbers:
            found.numbers[letter] = _number(syntax, letter, word[at:] or next(rest, None))
            return
        else:
            raise syntax.wrong(f"unknown option '-{printable(letter)}' in '{printable(word)}'")


def _number(syntax: Syntax, letter: str, value: str | None) -> int:
    if value is None:
        raise syntax.wrong(f"a number is missing after '-{letter}'")
    if not _NUMBER.fullmatch(value):
        raise syntax.wrong(f"'-{letter}' takes a number, not '{printable(value)}'")
    return int(value)


def _require_operands(syntax: Syntax, operands: Sequence[str]) -> None:
    if len(operands) > len(syntax.operands):
        extra = printable(operands[len(syntax.operands)])
        raise syntax.wrong(f"one argument too many: '{extra}'")
    if len(operands) < len(syntax.operands) - syntax.optional:
        raise syntax.wrong(f"{syntax.operands[len(operands)]} is missing")
