# SPDX-License-Identifier: Apache-2.0
"""Regular expressions: those of schemas, and those that a document holds."""

from __future__ import annotations

import re
from functools import cache
from re._constants import MAXREPEAT  # type: ignore[import-not-found]
from re._parser import SubPattern, parse  # type: ignore[import-not-found]
from typing import Any, Final

#: An escape, a set of characters, or the end.
_TOKEN: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$", re.DOTALL)
#: How the parser writes ``^`` and ``$``, as the first and as the last item.
_ANCHORS: Final = {0: "(AT, AT_BEGINNING)", -1: "(AT, AT_END)"}


def found_in(pattern: str, text: str) -> bool:
    """Return True if a schema's pattern is found in a text.

    Where JSON Schema says ``$`` it means the end, and Python also the place before a line
    break at the end.
    """
    return _of_schema(pattern).search(text) is not None


@cache
def _of_schema(pattern: str) -> re.Pattern[str]:
    return re.compile(_TOKEN.sub(lambda found: r"\Z" if found[0] == "$" else found[0], pattern))


def require_expression(text: str) -> None:
    """Check that a text is a regular expression.

    Raises:
        ValueError: It is none, with the cause.
    """
    try:
        re.compile(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except (re.error, OverflowError) as error:
        raise ValueError(str(error)) from error


def may_explode(text: str) -> bool:
    """Return True if an expression repeats a group whose end can be told in many ways.

    That is a group, repeated without a bound, whose only part is itself repeated so, or one
    of whose alternatives begins as another does: ``(a+)+``, ``(a|a)*``. What is no expression
    explodes not.
    """
    if "(" not in text or not any(mark in text for mark in "*+{"):
        return False
    try:
        return _explodes(parse(text))
    except (re.error, RecursionError, OverflowError):
        return False


def finds_everything(text: str) -> bool:
    """Return True if an expression is certainly found in every text that is not empty.

    That is one that may be nothing at all (``a*``), or nothing but any letters (``.+``), from
    the beginning or to the end or both. What is no expression finds nothing.
    """
    try:
        items = _plain(list(parse(text)))
    except (re.error, RecursionError, OverflowError):
        return False
    if not items or all(_may_be_left_out(item) for item in items):
        return True
    begins, ends = (str(items[i]) == _ANCHORS[i] for i in (0, -1))
    inner = _plain(items[begins : len(items) - ends])
    if not inner or (len(inner) == 1 and str(inner[0][0]) == "ANY"):
        return not (begins and ends)
    return len(inner) == 1 and _is_any(inner[0])


def _plain(items: list[Any]) -> list[Any]:
    """Return the items within groups that stand alone."""
    while len(items) == 1 and str(items[0][0]) == "SUBPATTERN":
        items = list(items[0][1][-1])
    return items


def _is_any(item: Any) -> bool:
    """Return True for any number of any letters."""
    if str(item[0]) not in {"MAX_REPEAT", "MIN_REPEAT"}:
        return False
    least, most, inner = item[1]
    inner = list(inner)
    return least <= 1 and most == MAXREPEAT and len(inner) == 1 and str(inner[0][0]) == "ANY"


def _explodes(pattern: Any) -> bool:
    for operation, argument in pattern:
        name = str(operation)
        if name in {"MAX_REPEAT", "MIN_REPEAT"}:
            _, most, inner = argument
            if most == MAXREPEAT and _is_loose(inner):
                return True
        if any(_explodes(part) for part in _inner(argument)):
            return True
    return False


def _is_loose(pattern: Any) -> bool:
    """Return True for a pattern that is nothing but a repetition, or has like alternatives."""
    items = list(pattern)
    while len(items) == 1 and str(items[0][0]) == "SUBPATTERN":
        items = list(items[0][1][-1])
    needed = [item for item in items if not _may_be_left_out(item)]
    if len(items) > 1 and len(needed) == 1:
        items = needed  # what stands beside it may be nothing
    if len(items) != 1:
        return False
    name, argument = str(items[0][0]), items[0][1]
    if name in {"MAX_REPEAT", "MIN_REPEAT"}:
        return bool(argument[1] == MAXREPEAT)
    if name == "BRANCH":
        branches = [list(branch) for branch in argument[1]]
        firsts = [str(branch[0]) for branch in branches if branch]
        return len(set(firsts)) < len(firsts) or any(_is_loose(b) for b in branches)
    return False


def _may_be_left_out(item: Any) -> bool:
    return str(item[0]) in {"MAX_REPEAT", "MIN_REPEAT"} and item[1][0] == 0


def _inner(argument: Any) -> list[Any]:
    """Return the patterns within the argument of an operation."""
    if isinstance(argument, SubPattern):
        return [argument]
    if isinstance(argument, tuple | list):
        return [found for part in argument for found in _inner(part)]
    return []
