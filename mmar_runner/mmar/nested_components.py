# SPDX-License-Identifier: Apache-2.0
"""Where an argument schema expects further component declarations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.catalog import ComponentKind

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath

_MARK = "x-component"


def nested_places(
    schema: Mapping[str, Any], value: Any, path: JsonPath = ()
) -> Iterator[tuple[JsonPath, ComponentKind]]:
    """Yield every place in ``value`` that holds a component, with its kind.

    A property with ``"x-component": KIND`` holds one declaration, or a list of them.
    """
    if _MARK in schema:
        kind = ComponentKind(schema[_MARK])
        items = value if isinstance(value, list) else [value]
        places = [(*path, i) for i in range(len(items))] if isinstance(value, list) else [path]
        for place, item in zip(places, items, strict=True):
            if isinstance(item, dict):
                yield place, kind
        return
    for inner, part, child in _parts(schema, value):
        if isinstance(inner, Mapping):
            yield from nested_places(inner, child, (*path, part))


def misplaced(
    schema: Mapping[str, Any], value: Any, path: JsonPath = ()
) -> Iterator[tuple[JsonPath, ComponentKind, Any]]:
    """Yield every place that should hold a component and holds no declaration, with the value.

    None, which stands for nothing where the schema lets it, is not among them.
    """
    if _MARK in schema:
        kind = ComponentKind(schema[_MARK])
        items = value if isinstance(value, list) and value else [value]
        for index, item in enumerate(items):
            if not isinstance(item, dict) and item is not None:
                yield ((*path, index) if items is value else path), kind, item
        return
    for inner, part, child in _parts(schema, value):
        if isinstance(inner, Mapping):
            yield from misplaced(inner, child, (*path, part))


def value_at(value: Any, path: JsonPath) -> Any:
    """Return what stands at a place that `nested_places` gave."""
    return reduce(lambda part, key: part[key], path, value)


def _parts(schema: Mapping[str, Any], value: Any) -> Iterator[tuple[Any, str | int, Any]]:
    """Yield (schema, key, value) of everything directly inside a value."""
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        for key, child in value.items():
            yield properties.get(key, schema.get("additionalProperties")), key, child
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield schema.get("items"), index, child
