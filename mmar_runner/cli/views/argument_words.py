# SPDX-License-Identifier: Apache-2.0
"""A component's arguments and facts in words, from what its plugin registered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mmar_runner.interfaces.nested import X_COMPONENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mmar_runner.interfaces.catalog import ComponentDescription

_SIGNS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def argument_rows(schema: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return name, type, default and description of every argument that is named."""
    required = schema.get("required", ())
    return [
        (name, _type(part), _default(name, part, required), part.get("description", ""))
        for name, part in schema.get("properties", {}).items()
    ]


def unnamed_arguments(schema: Mapping[str, Any]) -> str:
    """Return what is said of arguments where none is named."""
    return "those of the class" if schema.get("additionalProperties", True) else "none"


def facts(found: ComponentDescription) -> Iterator[tuple[str, str]]:
    """Yield what a component states of itself for people: a label, and words."""
    extras = found.extras
    if "memory" in extras:
        yield "Memory", str(extras["memory"])
    if "min_clients" in extras:
        yield "Clients", f"at least {_minimum(extras['min_clients'])}"
    if extras.get("tags"):
        yield "Tags", ", ".join(map(_tag, extras["tags"]))
    if "paper" in extras:
        yield "Paper", str(extras["paper"])


def _minimum(stated: Mapping[str, Any]) -> str:
    terms = [f"{k} {name}" if k != 1 else name for name, k in stated.get("per", {}).items()]
    base = [str(stated["base"])] if stated["base"] or not terms else []
    return " + ".join([*terms, *base])


def _tag(tag: Any) -> str:
    if isinstance(tag, str):
        return tag
    value = f" is {json.dumps(tag['is'])}" if "is" in tag else ""
    return f"{tag['tag']} (if {tag['if']}{value})"


def _type(schema: Mapping[str, Any]) -> str:
    if X_COMPONENT in schema:
        many = "list of " if schema.get("type") == "array" else ""
        return f"{many}{schema[X_COMPONENT]}"
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    names = schema.get("type", "any")
    text = names if isinstance(names, str) else " | ".join(names)
    items = schema.get("items")
    return f"{text} of {_type(items)}" if text == "array" and items else f"{text}{_range(schema)}"


def _range(schema: Mapping[str, Any]) -> str:
    limits = [f"{sign} {schema[key]}" for key, sign in _SIGNS.items() if key in schema]
    return f" {', '.join(limits)}" if limits else ""


def _default(name: str, schema: Mapping[str, Any], required: Sequence[str]) -> str:
    if name in required:
        return "required"
    return json.dumps(schema["default"]) if "default" in schema else ""
