# SPDX-License-Identifier: Apache-2.0
"""Schemas of the arguments that parts take, as few words as possible."""

from __future__ import annotations

from typing import Any, Final

#: Stands for an argument without a default that could be shown.
_NOTHING: Final = object()

BOOL: Final[dict[str, Any]] = {"type": "boolean"}
INT: Final[dict[str, Any]] = {"type": "integer"}
#: Bounds that no honest job meets: they end a hostile one before it takes all memory.
COUNT: Final[dict[str, Any]] = {"type": "integer", "minimum": 1, "maximum": 1 << 24}
COUNTS: Final[dict[str, Any]] = {
    "type": "array",
    "items": COUNT,
    "minItems": 1,
    "maxItems": 1024,
}
WIDTH: Final[dict[str, Any]] = {"type": "integer", "minimum": 1, "maximum": 1 << 16}
WIDTHS: Final[dict[str, Any]] = {"type": "array", "items": WIDTH, "maxItems": 256}
NUMBER: Final[dict[str, Any]] = {"type": "number"}
POSITIVE: Final[dict[str, Any]] = {"type": "number", "exclusiveMinimum": 0}
NOT_NEGATIVE: Final[dict[str, Any]] = {"type": "number", "minimum": 0}
SHARE: Final[dict[str, Any]] = {"type": "number", "minimum": 0, "maximum": 1}
BELOW_ONE: Final[dict[str, Any]] = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
BETAS: Final[dict[str, Any]] = {
    "type": "array",
    "items": BELOW_ONE,
    "minItems": 2,
    "maxItems": 2,
}
BY_CLASS: Final[dict[str, Any]] = {
    "type": ["array", "null"],
    "items": NOT_NEGATIVE,
    "minItems": 1,
    "maxItems": 1 << 16,
}
REDUCTION: Final[dict[str, Any]] = {"enum": ["mean", "sum"]}


def arg(schema: dict[str, Any], description: str, default: Any = _NOTHING) -> dict[str, Any]:
    """Return an argument's schema with what it means.

    Args:
        schema: The values it takes.
        description: One sentence.
        default: What it is if it is not given.
    """
    told = {"description": description, **schema}
    return told if default is _NOTHING else {**told, "default": default}
