# SPDX-License-Identifier: Apache-2.0
"""A JSON text that was read: its value, where everything stands, what is wrong with it."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

#: A place in a JSON value: keys and indices from the root.
JsonPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with the text itself.

    Attributes:
        code: A code of the table.
        message: What is wrong.
        offset: Where, in characters from the start of the text.
        hint: How to mend it.
        path: The value concerned, as far as it is known.
    """

    code: str
    message: str
    offset: int
    hint: str | None = None
    path: JsonPath = ()


@dataclass(slots=True)
class JsonSource:
    """A JSON text, its value, and where every part of it stands.

    Attributes:
        text: The text.
        value: The value; None if nothing could be read.
        keys: Offset of the key of every object member, by path.
        values: Offset of every value, by path.
        problems: What is wrong with the text, in order.
        doubtful: Paths whose value could not be read and stands as None.
        overridden: What a key held at first that stands twice, by path.
        reliable: False if reading had to stop before the end.
    """

    text: str
    value: Any = None
    keys: dict[JsonPath, int] = field(default_factory=dict)
    values: dict[JsonPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    doubtful: set[JsonPath] = field(default_factory=set)
    overridden: dict[JsonPath, Any] = field(default_factory=dict)
    reliable: bool = True
    _lines: list[int] = field(default_factory=list)

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column, both from 1, of an offset."""
        if not self._lines:
            self._lines = [0, *(m.end() for m in re.finditer("\n", self.text))]
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1

    def locate(self, path: JsonPath, *, key: bool = False) -> tuple[int, int]:
        """Return line and column of a value (or of its key), or of what encloses it."""
        while path and path not in self.values:
            path, key = path[:-1], False
        offsets = self.keys if key and path in self.keys else self.values
        return self.position(offsets.get(path, 0))
