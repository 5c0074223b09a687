# SPDX-License-Identifier: Apache-2.0
"""Strings, numbers and words of a JSON text, with the usual slips."""

from __future__ import annotations

import re
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]
from math import isinf
from typing import TYPE_CHECKING, Any

from mmar_runner.documents.json_slips import (
    CUT_OFF,
    LITERAL_SLIPS,
    NUL,
    NUL_MEND,
    TYPOGRAPHIC,
    TYPOGRAPHIC_STRING,
    number_hint,
)
from mmar_runner.documents.words import did_you_mean, printable

if TYPE_CHECKING:
    from mmar_runner.documents.json_cursor import Cursor
    from mmar_runner.documents.json_source import JsonPath

#: What a string begins with, or is meant to.
QUOTES = frozenset("\"'" + TYPOGRAPHIC)
#: All up to what ends a word.
WORD = re.compile(r"[^\s,:;=\[\]{}\"']+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# Compiled when a file needs them, which good files do not.
_CLOSED_STRING = r'"((?:[^"\\\n]|\\[^\n])*)"'
_SINGLE_QUOTED = r"'((?:[^'\\\n]|\\[^\n])*)'"
_SURROGATE = "[\ud800-\udfff]"
_NOT_FINITE = r"(?i:[+-]?(nan|inf|infinity))"
_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def read_string(cursor: Cursor, path: JsonPath) -> str:
    """Read a string, or a key, that begins here with some quote.

    Args:
        cursor: Where it begins; it stands behind it then.
        path: Which value it is, or of which object a key.
    """
    start = cursor.at
    if cursor.peek() == "'":
        slip = "JSON strings have double quotes."
        return _misquoted(cursor, _SINGLE_QUOTED, slip, "Write \" in place of '.")
    if cursor.peek() != '"':
        slip = "These are typographic quotes."
        return _misquoted(cursor, TYPOGRAPHIC_STRING, slip, 'Write " in place of them.')
    try:
        text, cursor.at = scanstring(cursor.text, start + 1)
    except JSONDecodeError as error:
        return _damaged_string(cursor, error, start, path)
    if not text.isascii() and re.search(_SURROGATE, text):
        hint = "Write the character itself, or both halves."
        cursor.slip("The string holds half of a surrogate pair.", hint, at=start, path=path)
        if cursor.source.values.get(path) == start:  # it is no key
            cursor.source.doubtful.add(path)
        return re.sub(_SURROGATE, "\N{REPLACEMENT CHARACTER}", text)
    return str(text)


def _damaged_string(cursor: Cursor, error: JSONDecodeError, start: int, path: JsonPath) -> str:
    closed = re.compile(_CLOSED_STRING).match(cursor.text, start)
    if closed is None:
        if not cursor.text[start:].rstrip().count("\n"):
            cursor.stop("The file ends within this string.", f"Add '\"'{CUT_OFF}.", at=start)
        cursor.stop("The string is not closed in its line.", "Add '\"'.", at=start)
    if error.msg.startswith("Invalid control"):
        is_nul = cursor.text[error.pos] == NUL
        hint = NUL_MEND if is_nul else r"Write it as \t or \uXXXX."
        cursor.slip("The string holds a control character.", hint, at=error.pos)
    else:
        hint = r"Write \\ for a backslash."
        cursor.slip("The string holds an invalid escape.", hint, at=error.pos)
    cursor.at = closed.end()
    if cursor.source.values.get(path) == start:  # it is no key
        cursor.source.doubtful.add(path)
    return closed[1]


def _misquoted(cursor: Cursor, pattern: str, slip: str, hint: str) -> str:
    """Read a string in quotes of another kind, whose pattern is given, and say the slip."""
    quoted = re.compile(pattern).match(cursor.text, cursor.at)
    if quoted is None:
        cursor.stop("The string is not closed in its line.", "Use double quotes.")
    cursor.slip(slip, hint)
    cursor.at = quoted.end()
    return quoted[1]


def read_scalar(cursor: Cursor, path: JsonPath) -> Any:
    """Read a number, true, false or null; anything else is reported.

    Args:
        cursor: Where it begins; it stands behind it then.
        path: Which value it is.
    """
    word = WORD.match(cursor.text, cursor.at)
    if word is None:
        found = repr(cursor.peek()) if cursor.peek() else "the end of the file"
        cursor.stop(f"Expected a value, found {found}.", "Write a value here.")
    number = _NUMBER.match(cursor.text, cursor.at)
    if word[0] in _LITERALS:
        value: Any = _LITERALS[word[0]]
    elif number is not None and number.end() == word.end():
        value = _number(cursor, number, path)
    else:
        value = _bad_word(cursor, word[0], path)
    cursor.at = word.end()
    if path in cursor.source.doubtful and cursor.peek() == '"':
        cursor.at += 1  # of a text that lacks only its first quote
    return value


def _number(cursor: Cursor, match: re.Match[str], path: JsonPath) -> int | float | None:
    if len(match[0]) > cursor.limits.number_digits:
        limit = cursor.limits.number_digits
        hint = "Write a number of a usual size."
        cursor.doubt(f"A number has more than {limit} characters.", hint, path)
        return None
    if match[1] is None and match[2] is None:
        return int(match[0])
    value = float(match[0])
    if isinf(value):
        hint = "Numbers must fit into 64-bit floating point."
        cursor.doubt(f"{match[0]} is too large a number.", hint, path, "MMAR112")
        return None
    return value


def _bad_word(cursor: Cursor, word: str, path: JsonPath) -> bool | None:
    if word in LITERAL_SLIPS:
        right = {True: "true", False: "false", None: "null"}[LITERAL_SLIPS[word]]
        cursor.slip(f"{word} is not JSON.", f"Write {right}.", path=path)
        return LITERAL_SLIPS[word]
    if re.fullmatch(_NOT_FINITE, word):
        cursor.doubt(f"{word} is not a finite number.", "Write a number.", path, "MMAR112")
    elif NUL in word:
        message = "A NUL byte stands in this value."
        cursor.doubt(message, NUL_MEND, path, at=cursor.at + word.index(NUL))
    elif word[0] in "+-.0123456789":
        cursor.doubt(f"{printable(word)} is not a JSON number.", number_hint(word), path)
    else:
        near = did_you_mean(word, ("true", "false", "null"))
        shown = printable(word)
        hint = " ".join(filter(None, (near, f'Write "{shown}" if it is text.')))
        cursor.doubt(f"{shown} is not a JSON value.", hint, path)
    return None
