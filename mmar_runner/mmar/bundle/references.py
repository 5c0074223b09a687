# SPDX-License-Identifier: Apache-2.0
"""References of a bundle's configuration that lead nowhere, found without carrying one out.

As MONAI reads them: ``@a::b`` as a whole text, or anywhere in an expression, names what another
place becomes; ``%a::b`` is replaced by what stands there. Leading separators count upwards from
where the text stands. A reference fails once something needs it; a macro fails when the
configuration is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from mmar_runner.mmar.bundle.texts import (
    EXPRESSION,
    MACRO,
    REFERENCE,
    absolute,
    other_file,
    split_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A place of a configuration: keys, and positions as text.
Way: TypeAlias = tuple[str, ...]

_REFERENCES: Final = re.compile(r"@\w*(?:::\w*)*")
_SEPARATOR: Final = "::"
#: No list is so long that a position in it has more.
_DIGITS: Final = 10
#: What MONAI adds of its own.
_META: Final = "_meta_"


@dataclass(frozen=True, slots=True)
class Nowhere:
    """A reference that leads nowhere.

    Attributes:
        reference: The reference: ``@train::optimiser``.
        text: The whole text in which it stands.
        way: Where that stands.
        missing: The first name on the way that is not there.
        known: The names that are there instead.
        certain: Whether a run fails of it: it is needed, or is looked at in any case.
    """

    reference: str
    text: str
    way: Way
    missing: str
    known: tuple[str, ...]
    certain: bool


def leading_nowhere(config: dict[str, Any], roots: Iterable[str]) -> list[Nowhere]:
    """Return every reference and macro of a merged configuration that leads nowhere.

    Macros of other files are left out: see `macro_of_file`.

    Args:
        config: The configuration.
        roots: Ids of what is resolved in it.
    """
    needed = needed_ways(config, roots)
    found: list[Nowhere] = []
    for way, text in texts_of(config):
        for reference in references(text):
            target = absolute(reference, way)
            lost = missing_in(config, target)
            if lost is not None:
                certain = reference.startswith(MACRO) or way in needed
                found.append(Nowhere(reference, text, way, *lost, certain))
    return found


def texts_of(value: Any, way: Way = ()) -> Iterator[tuple[Way, str]]:
    """Yield every text of a configuration with its place."""
    if isinstance(value, str):
        yield way, value
    for name, child in _members(value):
        yield from texts_of(child, (*way, name))


def references(text: str) -> Iterator[str]:
    """Yield the references in a text, and what it is a macro of; of other files none."""
    if text.startswith(MACRO):
        if other_file(text) is None:
            yield text
        return
    plain = text.replace("#", _SEPARATOR)
    for found in _REFERENCES.findall(plain):
        if text.startswith(EXPRESSION) or plain == found:
            yield found


def missing_in(config: Any, way: Sequence[str]) -> tuple[str, tuple[str, ...]] | None:
    """Return what is missing on a way and what is there instead; None if it leads somewhere.

    So it does where nobody can tell: behind a macro, and to what MONAI adds.
    """
    value = config
    for position, name in enumerate(way):
        if not name or (not position and name == _META):
            return None
        if isinstance(value, str) and value.startswith(MACRO):
            return None
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and _is_position(name, value):
            value = value[int(name)]
        else:
            return name, tuple(value) if isinstance(value, dict) else ()
    return None


def needed_ways(config: dict[str, Any], roots: Iterable[str]) -> set[Way]:
    """Return the places of all texts that are resolved with what certain ids lead to."""
    waiting: list[tuple[Way, Any]] = []

    def ask_for(way: Way) -> None:
        if missing_in(config, way) is None:
            waiting.append((way, _standing_at(config, way)))

    for root in roots:
        ask_for(tuple(split_id(root)))
    seen, needed = set[Way](), set[Way]()
    while waiting:
        way, value = waiting.pop()
        if way in seen:
            continue
        seen.add(way)
        if isinstance(value, str):
            needed.add(way)
            for target in _targets(value, way):
                ask_for(target)
        waiting += [((*way, name), child) for name, child in _members(value)]
    return needed


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((str(index), child) for index, child in enumerate(value))


def _is_position(name: str, values: list[Any]) -> bool:
    return name.isdecimal() and len(name) < _DIGITS and int(name) < len(values)


def _standing_at(config: Any, way: Iterable[str]) -> Any:
    value = config
    for name in way:
        if isinstance(value, list):
            value = value[int(name)]
        elif isinstance(value, dict):
            value = value.get(name)
    return value


def _targets(text: str, way: Way) -> list[Way]:
    return [absolute(one, way) for one in references(text) if one.startswith(REFERENCE)]


def macro_of_file(text: str) -> tuple[str, list[str]] | None:
    """Return the file and the id that a macro names; None of what is no macro of another file."""
    file = other_file(text)
    if file is None:
        return None
    rest = text[len(MACRO) + len(file) :]
    return file, [name for name in split_id(rest) if name]
