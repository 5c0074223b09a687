# SPDX-License-Identifier: Apache-2.0
"""A place in a JSON text, and what was found wrong with the text so far."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from mmar_runner.documents.json_slips import LEFT_OUT, NUL, NUL_MEND, strange_space, strange_spaces
from mmar_runner.documents.json_source import JsonSource, Problem

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.documents.limits import ReadingLimits

_SPACE = re.compile(r"[ \t\n\r]*")
# Compiled when a file needs it, which good files do not.
_COMMENT = r"(?s://[^\n]*|#[^\n]*|/\*.*?\*/)"
#: What most values, keys and ends begin with: nothing to pass over.
_PLAIN = frozenset(' "{}[]:,-0123456789tfn') | {""}


class Stop(Exception):  # noqa: N818 - it ends the reading, it is no error of ours
    """Nothing after this place can be read."""


class Cursor:
    """Goes through one text.

    Attributes:
        text: The text.
        limits: How much of it is read.
        source: What was found so far.
        at: Where it is, in characters.
    """

    def __init__(self, text: str, limits: ReadingLimits) -> None:
        self.text = text
        self.limits = limits
        self.source = JsonSource(text)
        self.at = 0

    def peek(self) -> str:
        """Return the character that comes next; nothing at the end."""
        return self.text[self.at : self.at + 1]

    def skip(self) -> None:
        """Pass over white space, and over comments, which are slips."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
            char = self.text[self.at : self.at + 1]
            if char in _PLAIN or not self._passed_over(char):
                return

    def _passed_over(self, char: str) -> bool:
        """Pass over one thing that stands for nothing, and report it; False if there is none."""
        if char in {"/", "#"}:
            return self._comment()
        if char == "." and self.text.startswith(LEFT_OUT, self.at):
            self.slip("'...' is not JSON.", "Write what was left out, or remove it.")
            self.at += len(LEFT_OUT)
            return True
        if char == NUL:
            self.slip("This is a NUL byte.", NUL_MEND)
            self.at += len(self.text[self.at :]) - len(self.text[self.at :].lstrip(NUL))
            return True
        name = strange_space(char)
        if name is not None:
            self.slip(f"This is a {name}, not a space.", "Type a plain space.")
            self.at = strange_spaces(self.text, self.at)
        return name is not None

    def _comment(self) -> bool:
        comment = re.compile(_COMMENT).match(self.text, self.at)
        if comment is None:
            if self.text.startswith("/*", self.at):
                self.stop("The comment is never closed, and JSON has none.", "Remove it.")
            return False
        self.slip("JSON has no comments.", "Remove the comment.")
        self.at = comment.end()
        return True

    def slip(
        self,
        message: str,
        hint: str | None,
        *,
        at: int | None = None,
        code: str = "MMAR110",
        path: JsonPath = (),
    ) -> None:
        """Report something that is read as it was meant.

        Args:
            message: What is wrong.
            hint: How to mend it.
            at: Where; without it, here.
            code: What kind of finding it is.
            path: Which value it is about.
        """
        offset = self.at if at is None else at
        self.source.problems.append(Problem(code, message, offset, hint, path))
        if len(self.source.problems) >= self.limits.syntax_errors and code == "MMAR110":
            raise Stop

    def stop(
        self, message: str, hint: str | None = None, *, at: int | None = None, code: str = "MMAR110"
    ) -> NoReturn:
        """Report something after which nothing can be read; as `slip`."""
        offset = self.at if at is None else at
        self.source.problems.append(Problem(code, message, offset, hint))
        raise Stop

    def doubt(
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
        self.slip(message, hint, at=at, code=code, path=path)
