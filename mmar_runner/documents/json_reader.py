# SPDX-License-Identifier: Apache-2.0
"""A JSON reader that knows where everything stands and goes on after a slip.

It accepts exactly RFC 8259, without NaN and infinities. What usual slips leave in a
file (a trailing or missing comma, a comment, single quotes, ``True``) is reported
with its position and then read as it was meant, so that one slip hides nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]
from math import isinf
from typing import TYPE_CHECKING, Any, NoReturn

from mmar_runner.documents.json_slips import (
    LEFT_OUT,
    LITERAL_SLIPS,
    TYPOGRAPHIC,
    TYPOGRAPHIC_STRING,
    merge_mark,
    number_hint,
    strange_space,
    strange_spaces,
)
from mmar_runner.documents.json_source import JsonSource, Problem
from mmar_runner.documents.limits import DEFAULT_LIMITS, ReadingLimits
from mmar_runner.documents.words import did_you_mean, printable

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[^\s,:;=\[\]{}\"']+")
# Compiled when a file needs them, which good files do not.
_CLOSED_STRING = r'"((?:[^"\\\n]|\\[^\n])*)"'
_SINGLE_QUOTED = r"'((?:[^'\\\n]|\\[^\n])*)'"
_COMMENT = r"(?s://[^\n]*|#[^\n]*|/\*.*?\*/)"
_SURROGATE = "[\ud800-\udfff]"
_NOT_FINITE = r"(?i:[+-]?(nan|inf|infinity))"
#: What most values, keys and ends begin with: nothing to pass over.
_QUOTES = frozenset("\"'" + TYPOGRAPHIC)
_PLAIN = frozenset(' "{}[]:,-0123456789tfn') | {""}
_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


class _Stop(Exception):  # noqa: N818 - it ends the reading, it is no error of ours
    """Nothing after this place can be read."""


def read_json(text: str, limits: ReadingLimits = DEFAULT_LIMITS) -> JsonSource:
    """Read a JSON text; what is wrong with it stands in the result's ``problems``."""
    reader = _Reader(text, limits)
    try:
        reader.document()
    except _Stop:
        reader.source.reliable = False
    return reader.source


def _paths(path: JsonPath, value: Any) -> Iterator[JsonPath]:
    """Yield the path of a value and of everything in it."""
    yield path
    if isinstance(value, dict | list):
        for part, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths((*path, part), child)


class _Reader:
    """One pass over one text."""

    def __init__(self, text: str, limits: ReadingLimits) -> None:
        self.source = JsonSource(text)
        self._text = text
        self._limits = limits
        self._at = 0
        self._count = 0

    def document(self) -> None:
        """Read the only value of the text."""
        mark = merge_mark(self._text)
        if mark is not None:
            hint = "Keep one of the two versions, and remove the marks."
            self._stop("This is the mark of a merge that was not finished.", hint, at=mark)
        self._skip()
        if not self._peek():
            hint = "Write the object, at least {}, or remove the file."
            self._stop("The file is empty.", hint, at=0)
        self.source.value = self._value((), 1)
        self._skip()
        if self._at < len(self._text):
            self._stop("There is text after the end of the JSON value.", "Remove it.")

    # -- what goes wrong -------------------------------------------------------------

    def _slip(
        self,
        message: str,
        hint: str | None,
        *,
        at: int | None = None,
        code: str = "MMAR110",
        path: JsonPath = (),
    ) -> None:
        offset = self._at if at is None else at
        self.source.problems.append(Problem(code, message, offset, hint, path))
        if len(self.source.problems) >= self._limits.syntax_errors and code == "MMAR110":
            raise _Stop

    def _stop(
        self, message: str, hint: str | None = None, *, at: int | None = None, code: str = "MMAR110"
    ) -> NoReturn:
        offset = self._at if at is None else at
        self.source.problems.append(Problem(code, message, offset, hint))
        raise _Stop

    def _unclosed(self, what: str, start: int, closing: str, *, at: int | None = None) -> NoReturn:
        line, column = self.source.position(start)
        where = f"The {what} that begins at line {line}, column {column}"
        if at is not None:
            self._stop(f"{where} is never closed.", f"Add '{closing}'.", at=at)
        if self._at >= len(self._text):
            self._stop(f"{where} is never closed.", f"Add '{closing}'.", at=len(self._text))
        found = self._text[self._at]
        self._stop(f"{where} cannot go on with {found!r}.", f"Expected ',' or '{closing}'.")

    # -- pieces ----------------------------------------------------------------------

    def _skip(self) -> None:
        """Pass over white space, and over comments, which are slips."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            char = self._text[self._at : self._at + 1]
            if char in _PLAIN or not self._passed_over(char):
                return

    def _passed_over(self, char: str) -> bool:
        """Pass over one thing that stands for nothing, and report it; False if there is none."""
        if char in {"/", "#"}:
            return self._comment()
        if char == "." and self._text.startswith(LEFT_OUT, self._at):
            self._slip("'...' is not JSON.", "Write what was left out, or remove it.")
            self._at += len(LEFT_OUT)
            return True
        name = strange_space(char)
        if name is not None:
            self._slip(f"This is a {name}, not a space.", "Type a plain space.")
            self._at = strange_spaces(self._text, self._at)
        return name is not None

    def _comment(self) -> bool:
        comment = re.compile(_COMMENT).match(self._text, self._at)
        if comment is None:
            if self._text.startswith("/*", self._at):
                self._stop("The comment is never closed, and JSON has none.", "Remove it.")
            return False
        self._slip("JSON has no comments.", "Remove the comment.")
        self._at = comment.end()
        return True

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _value(self, path: JsonPath, depth: int) -> Any:
        self.source.values[path] = self._at
        self._count += 1
        if self._count > self._limits.json_values:
            limit = self._limits.json_values
            hint = "Keep long lists outside the MMAR."
            self._stop(f"The file holds more than {limit} values.", hint, code="MMAR116")
        if depth > self._limits.json_depth:
            limit = self._limits.json_depth
            hint = "Write the file with fewer levels."
            self._stop(f"The file is nested more than {limit} levels deep.", hint, code="MMAR115")
        char = self._peek()
        if char == "{":
            return self._object(path, depth)
        if char == "[":
            return self._array(path, depth)
        if char in _QUOTES:
            return self._string(path)
        return self._scalar(path)

    def _object(self, path: JsonPath, depth: int) -> dict[str, Any]:
        start, members = self._at, dict[str, Any]()
        self._at += 1
        self._skip()
        while self._peek() != "}":
            if self._peek() == ",":
                self._slip("Nothing stands before this comma.", "Remove the comma.")
                self._at += 1
                self._skip()
                continue
            key_at = self._at
            key = self._key(path, start)
            self._colon(key)
            member = (*path, key)
            if key in members:
                self._forget(member, members[key], key_at)
            self.source.keys[member] = key_at
            if self._peek() in {"}", "]", ",", ";"}:
                self._without_value(key, key_at, member)
                members[key] = None
            else:
                members[key] = self._value(member, depth + 1)
            self._comma("object", start, "}")
        self._at += 1
        return members

    def _without_value(self, key: str, at: int, member: JsonPath) -> None:
        message = f"The key {key!r} has no value."
        self._doubt(message, "Write a value after it, or remove the key.", member, at=at)
        self.source.values[member] = at

    def _array(self, path: JsonPath, depth: int) -> list[Any]:
        start, items = self._at, list[Any]()
        self._at += 1
        self._skip()
        before = len(self.source.problems)
        while self._peek() != "]":
            if self._peek() == ",":
                self._slip("Nothing stands before this comma.", "Remove the comma.")
                self._at += 1
                self._skip()
                continue
            if self._peek() in {"", "}", ":"}:
                self._unclosed("array", start, "]")
            items.append(self._value((*path, len(items)), depth + 1))
            self._skip()
            if self._peek() == ":":  # a key follows: the bracket was forgotten
                del self.source.problems[before:]
                self._unclosed("array", start, "]", at=start)
            self._comma("array", start, "]")
        self._at += 1
        return items

    def _key(self, path: JsonPath, start: int) -> str:
        if self._peek() in _QUOTES:
            return self._string(path)
        word = _WORD.match(self._text, self._at)
        if word is None:
            self._unclosed("object", start, "}")
        shown = printable(word[0])
        self._slip(f"The key '{shown}' is not quoted.", f'Write "{shown}".')
        self._at = word.end()
        return word[0]

    def _colon(self, key: str) -> None:
        self._skip()
        char = self._peek()
        if char != ":":
            if char in {"", "}", "]", ","}:
                self._stop(f"The key {printable(key)!r} has no value.", "Write ': ' and a value.")
            self._slip(f"A colon is missing after the key {key!r}.", "Write ':' between the two.")
        if char in {":", "="}:
            self._at += 1
        self._skip()

    def _comma(self, what: str, start: int, closing: str) -> None:
        """Pass from one item to the next, or to the closing bracket."""
        self._skip()
        char = self._peek()
        if char == ";":
            self._slip("JSON has no semicolons.", "Write a comma, or nothing before the end.")
            self._at += 1
            self._skip()
            return
        if char == ",":
            comma, before = self._at, len(self.source.problems)
            self._at += 1
            self._skip()
            if self._peek() == closing and self._text.startswith(LEFT_OUT, self._last_slip(before)):
                return  # what was left out would follow the comma
            if self._peek() == closing:
                self._slip("A comma stands before the end.", "Remove the comma.", at=comma)
            elif not self._peek():
                self._unclosed(what, start, closing)
        elif char != closing:
            if char in {"", "]", "}", ":", "="}:
                self._unclosed(what, start, closing)
            self._slip("A comma is missing before this.", "Write ',' between the two.")

    def _last_slip(self, before: int) -> int:
        """Return where the newest slip is, of those after the first ``before``; else the end."""
        found = self.source.problems[before:]
        return found[-1].offset if found else len(self._text)

    def _forget(self, member: JsonPath, held: Any, at: int) -> None:
        """Report a key that stands twice and drop what the first one held."""
        first, _ = self.source.position(self.source.keys[member])
        message = f"The key {member[-1]!r} stands twice in one object; the last one counts."
        hint = f"Remove one of them; the first is in line {first}."
        self._slip(message, hint, at=at, code="MMAR111", path=member)
        self.source.overridden[member] = held
        # What it held is walked through, not all that was read: a file may do this often.
        for path in _paths(member, held):
            self.source.keys.pop(path, None)
            self.source.values.pop(path, None)

    def _string(self, path: JsonPath) -> str:
        start = self._at
        if self._peek() == "'":
            return self._single_quoted()
        if self._peek() != '"':
            return self._typographic()
        try:
            text, self._at = scanstring(self._text, start + 1)
        except JSONDecodeError as error:
            return self._damaged_string(error, start, path)
        if not text.isascii() and re.search(_SURROGATE, text):
            hint = "Write the character itself, or both halves."
            self._slip("The string holds half of a surrogate pair.", hint, at=start, path=path)
            return re.sub(_SURROGATE, "\N{REPLACEMENT CHARACTER}", text)
        return str(text)

    def _damaged_string(self, error: JSONDecodeError, start: int, path: JsonPath) -> str:
        closed = re.compile(_CLOSED_STRING).match(self._text, start)
        if closed is None:
            self._stop("The string is not closed in its line.", "Add '\"'.", at=start)
        if error.msg.startswith("Invalid control"):
            hint = r"Write it as \t or \uXXXX."
            self._slip("The string holds a control character.", hint, at=error.pos)
        else:
            hint = r"Write \\ for a backslash."
            self._slip("The string holds an invalid escape.", hint, at=error.pos)
        self._at = closed.end()
        if self.source.values.get(path) == start:  # it is no key
            self.source.doubtful.add(path)
        return closed[1]

    def _typographic(self) -> str:
        quoted = re.compile(TYPOGRAPHIC_STRING).match(self._text, self._at)
        if quoted is None:
            self._stop("The string is not closed in its line.", "Use double quotes.")
        self._slip("These are typographic quotes.", 'Write " in place of them.')
        self._at = quoted.end()
        return quoted[1]

    def _single_quoted(self) -> str:
        quoted = re.compile(_SINGLE_QUOTED).match(self._text, self._at)
        if quoted is None:
            self._stop("The string is not closed in its line.", "Use double quotes.")
        self._slip("JSON strings have double quotes.", "Write \" in place of '.")
        self._at = quoted.end()
        return quoted[1]

    def _scalar(self, path: JsonPath) -> Any:
        word = _WORD.match(self._text, self._at)
        if word is None:
            found = repr(self._peek()) if self._peek() else "the end of the file"
            self._stop(f"Expected a value, found {found}.", "Write a value here.")
        number = _NUMBER.match(self._text, self._at)
        if word[0] in _LITERALS:
            value: Any = _LITERALS[word[0]]
        elif number is not None and number.end() == word.end():
            value = self._number(number, path)
        else:
            value = self._bad_word(word[0], path)
        self._at = word.end()
        if path in self.source.doubtful and self._peek() == '"':
            self._at += 1  # of a text that lacks only its first quote
        return value

    def _number(self, match: re.Match[str], path: JsonPath) -> int | float | None:
        if len(match[0]) > self._limits.number_digits:
            limit = self._limits.number_digits
            hint = "Write a number of a usual size."
            self._doubt(f"A number has more than {limit} characters.", hint, path)
            return None
        if match[1] is None and match[2] is None:
            return int(match[0])
        value = float(match[0])
        if isinf(value):
            hint = "Numbers must fit into 64-bit floating point."
            self._doubt(f"{match[0]} is too large a number.", hint, path, "MMAR112")
            return None
        return value

    def _bad_word(self, word: str, path: JsonPath) -> bool | None:
        if word in LITERAL_SLIPS:
            right = {True: "true", False: "false", None: "null"}[LITERAL_SLIPS[word]]
            self._slip(f"{word} is not JSON.", f"Write {right}.", path=path)
            return LITERAL_SLIPS[word]
        if re.fullmatch(_NOT_FINITE, word):
            self._doubt(f"{word} is not a finite number.", "Write a number.", path, "MMAR112")
        elif word[0] in "+-.0123456789":
            self._doubt(f"{printable(word)} is not a JSON number.", number_hint(word), path)
        else:
            near = did_you_mean(word, ("true", "false", "null"))
            shown = printable(word)
            hint = " ".join(filter(None, (near, f'Write "{shown}" if it is text.')))
            self._doubt(f"{shown} is not a JSON value.", hint, path)
        return None

    def _doubt(
        self,
        message: str,
        hint: str | None,
        path: JsonPath,
        code: str = "MMAR110",
        *,
        at: int | None = None,
    ) -> None:
        """Report a value that cannot be read; None stands in its place."""
        self.source.doubtful.add(path)
        self._slip(message, hint, at=at, code=code, path=path)
