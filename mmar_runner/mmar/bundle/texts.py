# SPDX-License-Identifier: Apache-2.0
"""What texts of a bundle's configuration mean to MONAI, recognized and never carried out.

The syntax is MONAI's (its "config syntax" page): ``$`` begins Python code, ``@`` a reference,
``%`` what is replaced by another part; ``_target_`` names what is called with the other keys of
its object. A key such as ``train::trainer::_target_`` (or with ``#``) stands for the place that
it leads to, and one with ``+`` before it adds to what is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.documents.json_source import JsonPath

EXPRESSION: Final = "$"
REFERENCE: Final = "@"
MACRO: Final = "%"
TARGET: Final = "_target_"
#: Keys that say how something is called: by one of the modes below, or nobody knows how.
_MODES: Final = frozenset({"_mode_", "_debug_"})
#: Arguments that MONAI takes for a class's name, or for a path if there is a dot in them.
_NAMING: Final = frozenset({"reader", "writer", "backbone", "merger_cls"})
#: Arguments by which something is fetched, compiled, or loaded as objects, if they are true.
_FETCHING: Final = frozenset(
    {"allow_pickle", "compile", "compile_kwargs", "download", "pretrained"}
    | {"pretrained_url", "pretrained_path", "path_or_repo_id"}
)
#: Arguments that are harmless with one value alone, or left out.
_ONLY: Final[dict[str, Any]] = {"weights_only": True, "pickle_module": "pickle"}
#: Arguments of evaluators and trainers whose members go on to PyTorch, and what these may be.
_PASSED_ON: Final = {
    "amp_kwargs": frozenset({"cache_enabled", "enabled"}),
    "to_kwargs": frozenset({"copy"}),
}
_USUAL_MODES: Final = frozenset({"default", "callable"})
#: What a macro begins with that is taken from another file.
_OTHER_FILE: Final = re.compile(r".*\.(?:json|ya?ml)(?=$|::|#)", re.IGNORECASE | re.DOTALL)
_SEPARATOR: Final = re.compile(r"::|#")


class UseKind(StrEnum):
    """What a text of a configuration asks for."""

    EXPRESSION = "expression"
    TARGET = "target"
    MODE = "mode"
    FILE = "file"
    FETCH = "fetch"


@dataclass(frozen=True, slots=True)
class Use:
    """One text that asks for more than to be data.

    Attributes:
        kind: What it asks for: to be evaluated, to be called, to be called in an unusual
            way, that another file is read, or that something is fetched.
        text: The text; of a value that is none, what Python shows of it.
        path: Where it stands.
    """

    kind: UseKind
    text: str
    path: JsonPath


def uses(value: Any, path: JsonPath = ()) -> Iterator[Use]:
    """Yield everything in a value that asks for more than to be data, in order."""
    if isinstance(value, str):
        if value.startswith(EXPRESSION):
            yield Use(UseKind.EXPRESSION, value, path)
        elif value.startswith(MACRO) and _OTHER_FILE.match(value):
            yield Use(UseKind.FILE, value, path)
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _member(key, child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from uses(child, (*path, index))


def last_part(key: str) -> str:
    """Return the key that a key with separators leads to."""
    return _SEPARATOR.split(key)[-1].lstrip("+")


def split_id(text: str) -> list[str]:
    """Return the parts of an id, such as ``train::dataset::0``."""
    return _SEPARATOR.split(text)


def absolute(text: str, place: tuple[str, ...]) -> tuple[str, ...]:
    """Return where a reference or a macro leads, of what stands at a place.

    Each separator before its first name goes up by one.

    Args:
        text: ``@a::b``, ``%a`` or ``@##a``.
        place: The keys, and positions, that lead to it.
    """
    names = split_id(text[1:])
    upwards = next((i for i, name in enumerate(names) if name), len(names))
    return (*place[: len(place) - upwards], *names[upwards:]) if upwards else tuple(names)


def other_file(text: str) -> str | None:
    """Return the file that a macro takes something from; None if it is of the same one."""
    found = _OTHER_FILE.match(text) if text.startswith(MACRO) else None
    return None if found is None else found.group()[len(MACRO) :]


def _hands_on(name: str, value: Any) -> bool:
    """Return whether an argument has PyTorch or MONAI do more than work on data.

    A reference or a macro in its place may lead to anything, and counts as that.
    """
    if value is None:
        return False
    if name in _FETCHING:
        return value is not False
    if name in _ONLY:
        return bool(value != _ONLY[name])
    if name in _PASSED_ON:
        return not isinstance(value, dict) or not value.keys() <= _PASSED_ON[name]
    return False


def _member(key: str, value: Any, path: JsonPath) -> Iterator[Use]:
    name = last_part(key)
    is_text = isinstance(value, str)
    if name == TARGET and not (is_text and value.startswith(EXPRESSION)):
        yield Use(UseKind.TARGET, value if is_text else repr(value), path)
    elif name in _MODES and not (is_text and value in _USUAL_MODES):
        yield Use(UseKind.MODE, value if is_text else repr(value), path)
    elif _hands_on(name, value):
        yield Use(UseKind.FETCH, f"{name}: {value!r}", path)
    elif name in _NAMING:
        for named in value if isinstance(value, list) else [value]:
            if isinstance(named, str) and "." in named:
                yield Use(UseKind.TARGET, named, path)
    if not (is_text and name == TARGET and not value.startswith(EXPRESSION)):
        yield from uses(value, path)
