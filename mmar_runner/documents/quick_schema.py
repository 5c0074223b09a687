# SPDX-License-Identifier: Apache-2.0
"""A quick yes for values that fit their schema.

`surely_valid` knows the plain part of JSON Schema and answers True only if a value
fits beyond doubt. Whatever it does not know, or does not like, is for ``jsonschema``
to judge and to explain; so it may be narrow, but never wrong when it says yes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mmar_runner.documents.patterns import found_in, require_expression
from mmar_runner.errors import FormatError

_ANNOTATIONS = frozenset(
    {
        "$schema",
        "$id",
        "$defs",
        "$comment",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "x-alternatives",
        "x-component",
        "x-idle",
        "x-known",
        "x-most-positions",
    }
)
_LOCAL = "#/$defs/"


def surely_valid(schema: Any, value: Any, root: Mapping[str, Any]) -> bool:
    """Return True only if ``value`` certainly fits ``schema``.

    Args:
        schema: A schema, or part of one.
        value: A JSON value.
        root: The whole schema, for local references.
    """
    if schema is True:
        return True
    if not isinstance(schema, Mapping):
        return False
    for keyword, expected in schema.items():
        if keyword in _ANNOTATIONS:
            continue
        check = _CHECKS.get(keyword)
        if check is None or not check(expected, value, schema, root):
            return False
    return True


def unknown_keys(schema: Mapping[str, Any], value: Mapping[str, Any]) -> list[str]:
    """Return the keys of an object that its schema names neither itself nor by a pattern."""
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    return [
        key for key in value if key not in known and not any(found_in(p, key) for p in patterns)
    ]


def _is_type(name: Any, value: Any) -> bool:
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    kinds: dict[Any, type] = {"string": str, "boolean": bool, "object": dict, "array": list}
    return value is None if name == "null" else name in kinds and isinstance(value, kinds[name])


def _type(expected: Any, value: Any, *_: Any) -> bool:
    names = [expected] if isinstance(expected, str) else expected
    return any(_is_type(name, value) for name in names)


def _ref(expected: Any, value: Any, _schema: Any, root: Mapping[str, Any]) -> bool:
    if not str(expected).startswith(_LOCAL):
        return False
    return surely_valid(root.get("$defs", {}).get(expected[len(_LOCAL) :]), value, root)


def _properties(expected: Any, value: Any, _schema: Any, root: Mapping[str, Any]) -> bool:
    if not isinstance(value, dict):
        return True
    return all(surely_valid(expected[k], v, root) for k, v in value.items() if k in expected)


def _patterns(expected: Any, value: Any, _schema: Any, root: Mapping[str, Any]) -> bool:
    if not isinstance(value, dict):
        return True
    return all(
        surely_valid(inner, v, root)
        for pattern, inner in expected.items()
        for k, v in value.items()
        if found_in(pattern, k)
    )


def _additional(expected: Any, value: Any, schema: Any, root: Mapping[str, Any]) -> bool:
    if not isinstance(value, dict) or expected is True:
        return True
    return all(surely_valid(expected, value[key], root) for key in unknown_keys(schema, value))


def _required(expected: Any, value: Any, *_: Any) -> bool:
    return not isinstance(value, dict) or all(key in value for key in expected)


def _items(expected: Any, value: Any, schema: Any, root: Mapping[str, Any]) -> bool:
    if not isinstance(value, list):
        return True
    return "prefixItems" not in schema and all(surely_valid(expected, v, root) for v in value)


def _unique(expected: Any, value: Any, *_: Any) -> bool:
    if not isinstance(value, list) or expected is not True:
        return True
    return all(isinstance(v, str) for v in value) and len(set(value)) == len(value)


def _enum(expected: Any, value: Any, *_: Any) -> bool:
    return any(type(value) is type(e) and value == e for e in expected if _is_scalar(e))


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | bool | int)


def _const(expected: Any, value: Any, *_: Any) -> bool:
    return type(value) is type(expected) and isinstance(value, str | int) and value == expected


def _any_of(expected: Any, value: Any, _schema: Any, root: Mapping[str, Any]) -> bool:
    return any(surely_valid(inner, value, root) for inner in expected)


def _all_of(expected: Any, value: Any, _schema: Any, root: Mapping[str, Any]) -> bool:
    return all(surely_valid(inner, value, root) for inner in expected)


def _number(compare: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    def check(expected: Any, value: Any, *_: Any) -> bool:
        return not _is_type("number", value) or compare(value, expected)

    return check


def _length(
    kind: type[str | list[Any] | dict[str, Any]], compare: Callable[[int, int], bool]
) -> Callable[..., bool]:
    def check(expected: Any, value: Any, *_: Any) -> bool:
        return not isinstance(value, kind) or compare(len(value), expected)

    return check


def _pattern(expected: Any, value: Any, *_: Any) -> bool:
    return not isinstance(value, str) or found_in(expected, value)


def _format(expected: Any, value: Any, schema: Any, *_: Any) -> bool:
    check = _FORMATS.get(expected)
    if check is None or not isinstance(value, str):
        return True  # other formats only annotate
    try:
        check(value, schema)
    except (ValueError, FormatError):
        return False
    return True


def _require_item_function(text: str, schema: Mapping[str, Any]) -> None:
    # Deferred: hardly any document holds one.
    from mmar_runner.documents.item_functions import (  # noqa: PLC0415
        MOST_POSITIONS,
        parse_item_function,
    )

    parse_item_function(text, most_positions=schema.get(MOST_POSITIONS))


_FORMATS: dict[str, Callable[[str, Mapping[str, Any]], object]] = {
    "regex": lambda text, _: require_expression(text),
    "item-function": _require_item_function,
}


_CHECKS: dict[str, Callable[..., bool]] = {
    "type": _type,
    "$ref": _ref,
    "properties": _properties,
    "patternProperties": _patterns,
    "additionalProperties": _additional,
    "required": _required,
    "items": _items,
    "uniqueItems": _unique,
    "enum": _enum,
    "const": _const,
    "anyOf": _any_of,
    "allOf": _all_of,
    "minimum": _number(lambda v, e: v >= e),
    "maximum": _number(lambda v, e: v <= e),
    "exclusiveMinimum": _number(lambda v, e: v > e),
    "exclusiveMaximum": _number(lambda v, e: v < e),
    "minLength": _length(str, lambda n, e: n >= e),
    "maxLength": _length(str, lambda n, e: n <= e),
    "minItems": _length(list, lambda n, e: n >= e),
    "maxItems": _length(list, lambda n, e: n <= e),
    "minProperties": _length(dict, lambda n, e: n >= e),
    "pattern": _pattern,
    "format": _format,
}
