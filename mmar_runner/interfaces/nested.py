# SPDX-License-Identifier: Apache-2.0
"""Declarations inside the arguments of components: where they stand, and which are off.

The schema of a component's arguments says where. Whoever checks an MMAR and whoever builds
its components read it with the same functions, so that nothing is accepted that cannot be
built.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import reduce
from typing import Any, Final

from mmar_runner.interfaces.catalog import ComponentKind

#: The keyword of an argument's schema that says which kind of component is declared there.
X_COMPONENT: Final = "x-component"

#: Keys and indices that lead to a value.
Place = tuple[str | int, ...]


def is_off(declaration: object) -> bool:
    """Return True for a declaration that stands for no component: absent, {} or disabled."""
    return not declaration or (
        isinstance(declaration, Mapping) and declaration.get("disabled") is True
    )


def nested_places(
    schema: Mapping[str, Any], value: Any, place: Place = ()
) -> Iterator[tuple[Place, ComponentKind]]:
    """Yield every place in ``value`` that holds a declaration, with its kind, in order.

    A property with ``"x-component": KIND`` holds one declaration, or a list of them.
    """
    if X_COMPONENT in schema:
        kind = ComponentKind(schema[X_COMPONENT])
        items = [((*place, i), v) for i, v in enumerate(value)] if isinstance(value, list) else []
        for where, item in items or [(place, value)]:
            if isinstance(item, Mapping):
                yield where, kind
        return
    for inner, part, child in _parts(schema, value):
        if isinstance(inner, Mapping):
            yield from nested_places(inner, child, (*place, part))


def misplaced(
    schema: Mapping[str, Any], value: Any, place: Place = ()
) -> Iterator[tuple[Place, ComponentKind, Any]]:
    """Yield every place that should hold a component and holds no declaration, with the value.

    None, which stands for nothing where the schema lets it, is not among them.
    """
    if X_COMPONENT in schema:
        kind = ComponentKind(schema[X_COMPONENT])
        items = [((*place, i), v) for i, v in enumerate(value)] if isinstance(value, list) else []
        for where, item in items or [(place, value)]:
            if not isinstance(item, Mapping) and item is not None:
                yield where, kind, item
        return
    for inner, part, child in _parts(schema, value):
        if isinstance(inner, Mapping):
            yield from misplaced(inner, child, (*place, part))


def value_at(value: Any, place: Place) -> Any:
    """Return what stands at a place that `nested_places` gave."""
    return reduce(lambda part, key: part[key], place, value)


def with_parts(
    arguments: Mapping[str, Any], parts: Mapping[Place, Any], left_out: Collection[Place]
) -> dict[str, Any]:
    """Return a copy of arguments in which declarations are replaced, or left out.

    Args:
        arguments: Of a component.
        parts: What stands for a declaration.
        left_out: Places that are no more in the copy; an item's list is shorter then.
    """
    made: dict[str, Any] = _copy(arguments)
    for place, part in parts.items():
        value_at(made, place[:-1])[place[-1]] = part
    for place in sorted(left_out, key=_index, reverse=True):  # those behind it keep their index
        del value_at(made, place[:-1])[place[-1]]
    return made


def _index(place: Place) -> int:
    last = place[-1]
    return last if isinstance(last, int) else 0


def _parts(schema: Mapping[str, Any], value: Any) -> Iterator[tuple[Any, str | int, Any]]:
    """Yield (schema, key, value) of everything directly inside a value."""
    if isinstance(value, Mapping):
        properties = schema.get("properties", {})
        for key, child in value.items():
            yield properties.get(key, schema.get("additionalProperties")), key, child
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield schema.get("items"), index, child


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
