# SPDX-License-Identifier: Apache-2.0
"""A JSON reader that knows where everything stands and goes on after a slip.

It accepts exactly RFC 8259, without NaN and infinities. What usual slips leave in a
file (a trailing or missing comma, a comment, single quotes, ``True``) is reported
with its position and then read as it was meant, so that one slip hides nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from mmar_runner.documents.json_cursor import Cursor, Stop
from mmar_runner.documents.json_scalars import QUOTES, WORD, read_scalar, read_string
from mmar_runner.documents.json_slips import CUT_OFF, LEFT_OUT, merge_mark
from mmar_runner.documents.limits import DEFAULT_LIMITS, ReadingLimits
from mmar_runner.documents.words import printable

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath, JsonSource


def read_json(text: str, limits: ReadingLimits = DEFAULT_LIMITS) -> JsonSource:
    """Read a JSON text; what is wrong with it stands in the result's ``problems``."""
    cursor = Cursor(text, limits)
    try:
        _Reader(cursor).document()
    except Stop:
        cursor.source.reliable = False
    return cursor.source


def _paths(path: JsonPath, value: Any) -> Iterator[JsonPath]:
    """Yield the path of a value and of everything in it."""
    yield path
    if isinstance(value, dict | list):
        for part, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths((*path, part), child)


class _Reader:
    """One pass over one text: objects and arrays."""

    def __init__(self, cursor: Cursor) -> None:
        self._here = cursor
        self._count = 0

    def document(self) -> None:
        """Read the only value of the text."""
        mark = merge_mark(self._here.text)
        if mark is not None:
            hint = "Keep one of the two versions, and remove the marks."
            self._here.stop("This is the mark of a merge that was not finished.", hint, at=mark)
        self._here.skip()
        if not self._here.peek():
            hint = "Write the object, at least {}, or remove the file."
            self._here.stop("The file is empty.", hint, at=0)
        self._here.source.value = self._value((), 1)
        self._here.skip()
        if self._here.at < len(self._here.text):
            self._here.stop("There is text after the end of the JSON value.", "Remove it.")

    def _unclosed(self, what: str, start: int, closing: str, *, at: int | None = None) -> NoReturn:
        line, column = self._here.source.position(start)
        where = f"The {what} that begins at line {line}, column {column}"
        if at is None and not self._here.peek():
            end = len(self._here.text)
            self._here.stop(f"{where} is never closed.", f"Add '{closing}'{CUT_OFF}.", at=end)
        if at is not None:
            self._here.stop(f"{where} is never closed.", f"Add '{closing}'.", at=at)
        found = self._here.text[self._here.at]
        self._here.stop(f"{where} cannot go on with {found!r}.", f"Expected ',' or '{closing}'.")

    def _value(self, path: JsonPath, depth: int) -> Any:
        self._here.source.values[path] = self._here.at
        self._count += 1
        if self._count > self._here.limits.json_values:
            limit = self._here.limits.json_values
            hint = "Keep long lists outside the MMAR."
            self._here.stop(f"The file holds more than {limit} values.", hint, code="MMAR116")
        if depth > self._here.limits.json_depth:
            limit = self._here.limits.json_depth
            hint = "Write the file with fewer levels."
            self._here.stop(
                f"The file is nested more than {limit} levels deep.", hint, code="MMAR115"
            )
        char = self._here.peek()
        if char == "{":
            return self._object(path, depth)
        if char == "[":
            return self._array(path, depth)
        if char in QUOTES:
            return read_string(self._here, path)
        return read_scalar(self._here, path)

    def _object(self, path: JsonPath, depth: int) -> dict[str, Any]:
        start, members = self._here.at, dict[str, Any]()
        self._here.at += 1
        self._here.skip()
        while self._here.peek() != "}":
            if self._here.peek() == ",":
                self._here.slip("Nothing stands before this comma.", "Remove the comma.")
                self._here.at += 1
                self._here.skip()
                continue
            key_at = self._here.at
            key = self._key(path, start)
            self._colon(key)
            member = (*path, key)
            if key in members:
                self._forget(member, members[key], key_at)
            self._here.source.keys[member] = key_at
            if self._here.peek() in {"}", "]", ",", ";"}:
                self._without_value(key, key_at, member)
                members[key] = None
            else:
                members[key] = self._value(member, depth + 1)
            self._comma("object", start, "}")
        self._here.at += 1
        return members

    def _without_value(self, key: str, at: int, member: JsonPath) -> None:
        message = f"The key {key!r} has no value."
        self._here.doubt(message, "Write a value after it, or remove the key.", member, at=at)
        self._here.source.values[member] = at

    def _array(self, path: JsonPath, depth: int) -> list[Any]:
        start, items = self._here.at, list[Any]()
        self._here.at += 1
        self._here.skip()
        before = len(self._here.source.problems)
        while self._here.peek() != "]":
            if self._here.peek() == ",":
                self._here.slip("Nothing stands before this comma.", "Remove the comma.")
                self._here.at += 1
                self._here.skip()
                continue
            if self._here.peek() in {"", "}", ":"}:
                self._unclosed("array", start, "]")
            items.append(self._value((*path, len(items)), depth + 1))
            self._here.skip()
            if self._here.peek() == ":":  # a key follows: the bracket was forgotten
                del self._here.source.problems[before:]
                self._unclosed("array", start, "]", at=start)
            self._comma("array", start, "]")
        self._here.at += 1
        return items

    def _key(self, path: JsonPath, start: int) -> str:
        if self._here.peek() in QUOTES:
            return read_string(self._here, path)
        word = WORD.match(self._here.text, self._here.at)
        if word is None:
            self._unclosed("object", start, "}")
        shown = printable(word[0])
        self._here.slip(f"The key '{shown}' is not quoted.", f'Write "{shown}".')
        self._here.at = word.end()
        return word[0]

    def _colon(self, key: str) -> None:
        self._here.skip()
        char = self._here.peek()
        if char != ":":
            if char in {"", "}", "]", ","}:
                self._here.stop(
                    f"The key {printable(key)!r} has no value.", "Write ': ' and a value."
                )
            if char == "=":
                message = f"'=' stands behind the key {key!r}, where JSON has a colon."
                self._here.slip(message, "Write ':' in place of '='.")
            else:
                message = f"A colon is missing after the key {key!r}."
                self._here.slip(message, "Write ':' between the two.")
        if char in {":", "="}:
            self._here.at += 1
        self._here.skip()

    def _comma(self, what: str, start: int, closing: str) -> None:
        """Pass from one item to the next, or to the closing bracket."""
        self._here.skip()
        char = self._here.peek()
        if char == ";":
            self._here.slip("JSON has no semicolons.", "Write a comma, or nothing before the end.")
            self._here.at += 1
            self._here.skip()
            return
        if char == ",":
            comma, before = self._here.at, len(self._here.source.problems)
            self._here.at += 1
            self._here.skip()
            if self._here.peek() == closing and self._here.text.startswith(
                LEFT_OUT, self._last_slip(before)
            ):
                return  # what was left out would follow the comma
            if self._here.peek() == closing:
                self._here.slip("A comma stands before the end.", "Remove the comma.", at=comma)
            elif not self._here.peek():
                self._unclosed(what, start, closing)
        elif char != closing:
            if char in {"", "]", "}", ":", "="}:
                self._unclosed(what, start, closing)
            self._here.slip("A comma is missing before this.", "Write ',' between the two.")

    def _last_slip(self, before: int) -> int:
        """Return where the newest slip is, of those after the first ``before``; else the end."""
        found = self._here.source.problems[before:]
        return found[-1].offset if found else len(self._here.text)

    def _forget(self, member: JsonPath, held: Any, at: int) -> None:
        """Report a key that stands twice and drop what the first one held."""
        first, _ = self._here.source.position(self._here.source.keys[member])
        message = f"The key {member[-1]!r} stands twice in one object; the last one counts."
        hint = f"Remove one of them; the first is in line {first}."
        self._here.slip(message, hint, at=at, code="MMAR111", path=member)
        self._here.source.overridden[member] = held
        # What it held is walked through, not all that was read: a file may do this often.
        for path in _paths(member, held):
            self._here.source.keys.pop(path, None)
            self._here.source.values.pop(path, None)
