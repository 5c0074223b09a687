# SPDX-License-Identifier: Apache-2.0
"""Several configurations as one value, and what stands in it once references are followed.

As MONAI merges them: a key such as ``train#trainer`` replaces that part, one with ``+`` before it
adds to a list or an object. Only what is data is followed; an expression ends the way.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import FormatError
from mmar_runner.mmar.bundle.texts import EXPRESSION, MACRO, REFERENCE, absolute, split_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: The most values that references make of a part; in circles, or doubling, they make more.
_MOST_VALUES: Final = 10_000
#: Levels of values within each other; no network's arguments are nested deeper.
_DEEPEST: Final = 64
#: Keys of a part that say nothing about its arguments.
_BESIDE: Final = frozenset({"_desc_", "_disabled_", "_mode_", "_requires_"})


class NotDataError(FormatError):
    """A part of a configuration depends on what is not data."""

    default_reason = "NOT_DATA"


def merged(configurations: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return configurations as one, the last being the strongest.

    Raises:
        FormatError: A key leads nowhere, or adds to what is neither list nor object.
    """
    result: dict[str, Any] = {}
    for one in configurations:
        for key, value in one.items():
            _put(result, key.removeprefix("+"), deepcopy(value), adds=key.startswith("+"))
    return result


def has(config: dict[str, Any], text: str) -> bool:
    """Return True if an id leads to something."""
    try:
        at(config, text)
    except FormatError:
        return False
    return True


def at(config: dict[str, Any], text: str) -> Any:
    """Return what an id leads to, such as ``train::trainer``, as it is written.

    Raises:
        FormatError: It leads nowhere.
    """
    return _descend(config, split_id(text), text)


def followed(config: dict[str, Any], text: str) -> Any:
    """Return what an id leads to through references and macros; in it they stay as written.

    Raises:
        FormatError: It leads nowhere, in a circle, or through an expression.
    """
    way = tuple(split_id(text))
    for _ in range(_DEEPEST):
        value: Any = config
        for position, name in enumerate(way, start=1):
            value = _descend(value, (name,), text)
            if isinstance(value, str) and value.startswith((REFERENCE, MACRO)):
                way = (*absolute(value, way[:position]), *way[position:])
                break
        else:
            return value
    raise FormatError(f"'{text}' goes in a circle")


def literal(config: dict[str, Any], text: str) -> Any:
    """Return what an id leads to, its references and macros replaced by data.

    Raises:
        NotDataError: It depends on an expression.
        FormatError: A reference leads nowhere, in a circle, or to far too much.
    """
    return _Reading(config).value(at(config, text), tuple(split_id(text)), 0)


def arguments(part: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a part that is called."""
    return {key: value for key, value in part.items() if key != "_target_" and key not in _BESIDE}


def _put(config: dict[str, Any], key: str, value: Any, *, adds: bool) -> None:
    *way, last = split_id(key)
    parent = _descend(config, way, key)
    where = _step(parent, last, key)
    before = None
    if adds and has(config, key):
        before = parent[where]
    if isinstance(before, dict) and isinstance(value, dict):
        before.update(value)
    elif isinstance(before, list) and isinstance(value, list):
        before.extend(value)
    elif before is not None:
        raise FormatError(f"'+{key}' adds to what is neither a list nor an object")
    elif isinstance(parent, list) and where == len(parent):
        raise FormatError(f"'{key}' leads nowhere: the list is shorter")
    else:
        parent[where] = value


def _descend(value: Any, way: Sequence[str], text: str) -> Any:
    for name in way:
        try:
            value = value[_step(value, name, text)]
        except (KeyError, IndexError) as error:
            raise FormatError(f"'{text}' leads nowhere: there is no {name!a}") from error
    return value


def _step(value: Any, name: str, text: str) -> Any:
    if isinstance(value, dict):
        return name
    if isinstance(value, list) and name.isdecimal() and len(name) < _DEEPEST:
        return min(int(name), len(value))
    raise FormatError(f"'{text}' leads nowhere: there is no {name!a}")


class _Reading:
    """Follows references from one part, and counts what they make of it."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._count = 0

    def value(self, value: Any, place: tuple[str, ...], depth: int) -> Any:
        """Return a value that stands at a place, without references."""
        self._count += 1
        if self._count > _MOST_VALUES or depth > _DEEPEST:
            raise FormatError(f"'{'::'.join(place[:3])}' goes in a circle, or becomes too much")
        if isinstance(value, str):
            return self._text(value, place, depth)
        if isinstance(value, dict):
            return {k: self.value(v, (*place, k), depth + 1) for k, v in value.items()}
        if isinstance(value, list):
            return [self.value(v, (*place, str(i)), depth + 1) for i, v in enumerate(value)]
        return value

    def _text(self, text: str, place: tuple[str, ...], depth: int) -> Any:
        if text.startswith(EXPRESSION):
            raise NotDataError(f"'{'::'.join(place)}' is an expression: {text[:120]!a}")
        if not text.startswith((REFERENCE, MACRO)):
            return text
        way = absolute(text, place)
        found = _descend(self._config, way, text)
        return self.value(found, way, depth + 1)
