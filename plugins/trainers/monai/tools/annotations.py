# SPDX-License-Identifier: Apache-2.0
"""From a parameter's annotation, as text, to the JSON Schema of what can be written for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

_PLAIN: Final[dict[str, tuple[str, ...]]] = {
    "bool": ("boolean",),
    "int": ("integer",),
    "float": ("number",),
    "str": ("string",),
    "None": ("null",),
    "dict": ("object",),
    "Mapping": ("object",),
    "list": ("array",),
    "tuple": ("array",),
    "Sequence": ("array",),
    "Iterable": ("array",),
    "KeysCollection": ("string", "array"),
    "SequenceStr": ("string", "array"),
    "IndexSelection": ("integer", "array"),
    "RandRange": ("number", "array", "null"),
    "DtypeLike": ("string", "null"),
    "NdarrayOrTensor": ("array",),
}
#: Names of types whose values are written as text.
_TEXTS: Final = re.compile(
    r"(Path|PathLike|dtype|torch\.dtype|np\.dtype|torch\.device|device|[A-Za-z]*(Mode|Reduction|Type"
    r"|Weight|Average|ChannelMatching))"
)
_STRIPPED: Final = re.compile(r"^(collections\.abc\.|typing\.|<class '|<enum ')|('>)$")
_ORDER: Final = ("string", "number", "integer", "boolean", "array", "object", "null")


@dataclass
class Accepted:
    """What may be written for a parameter.

    Attributes:
        types: Types of JSON.
        items: What the items of a list are, if that is known of every list.
        anything: True if nothing is known.
        function: True if it may be a function of one argument, written as text.
    """

    types: set[str] = field(default_factory=set)
    items: Accepted | None = None
    anything: bool = False
    function: bool = False

    @property
    def possible(self) -> bool:
        """Whether anything but null can be written in JSON."""
        return self.anything or self.function or bool(self.types - {"null"})

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        if self.anything:
            return {}
        types = set(self.types) | ({"string"} if self.function else set())
        if "number" in types:
            types.discard("integer")
        made: dict[str, Any] = {"type": [name for name in _ORDER if name in types]}
        if len(made["type"]) == 1:
            made["type"] = made["type"][0]
        if self.function and "string" not in self.types:
            made["format"] = "item-function"
        if "array" in types and self.items is not None and not self.items.anything:
            made["items"] = self.items.schema()
        return made


def accepted(annotation: str) -> Accepted:
    """Return what may be written for a parameter with an annotation."""
    found = Accepted()
    lists: list[Accepted | None] = []
    for part in _alternatives(annotation):
        _add(found, lists, part)
    if lists and all(one is not None for one in lists):
        found.items = _united([one for one in lists if one is not None])
    return found


def _add(found: Accepted, lists: list[Accepted | None], part: str) -> None:
    name, inner = _split(part)
    if name in {"Any", "inspect._empty", "", "Hashable"}:
        found.anything = True
    elif name == "Callable":
        found.function = True
    elif name == "Literal":
        found.types |= {"string"}
    elif name in {"Optional", "Union"}:
        for one in _alternatives("|".join(_arguments(inner)) + ("|None" * (name == "Optional"))):
            _add(found, lists, one)
    elif name in _PLAIN:
        found.types |= set(_PLAIN[name])
        if "array" in _PLAIN[name]:
            lists.append(_items(name, inner))
    elif _TEXTS.fullmatch(name):
        found.types |= {"string"}


def _items(name: str, inner: str) -> Accepted | None:
    if name in {"KeysCollection", "SequenceStr"}:
        return Accepted({"string", "null"} if name == "SequenceStr" else {"string", "integer"})
    arguments = [one for one in _arguments(inner) if one != "..."]
    return _united([accepted(one) for one in arguments]) if arguments else None


def _united(several: list[Accepted]) -> Accepted:
    made = Accepted()
    for one in several:
        made.types |= one.types
        made.anything |= one.anything or not one.possible
        made.function |= one.function
    inner = [one.items for one in several if "array" in one.types]
    if inner and all(one is not None for one in inner):
        made.items = _united([one for one in inner if one is not None])
    return made


def _split(part: str) -> tuple[str, str]:
    text = _STRIPPED.sub("", _STRIPPED.sub("", part.strip()))
    name, bracket, rest = text.partition("[")
    return name.strip(), rest[:-1] if bracket else ""


def _alternatives(text: str) -> list[str]:
    return _cut(text, "|")


def _arguments(text: str) -> list[str]:
    return [one.strip() for one in _cut(text, ",") if one.strip()]


def _cut(text: str, mark: str) -> list[str]:
    """Return the parts of a text between marks that stand in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[(") - (letter in "])")
        if letter == mark and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]
