# SPDX-License-Identifier: Apache-2.0
"""Places in a workflow file: by a pattern, and what stands there for something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath


def places(value: Any, pattern: str) -> list[JsonPath]:
    """Return every path in ``value`` that a JSON pointer pattern with ``*`` names."""
    found: list[tuple[JsonPath, Any]] = [((), value)]
    for step in pattern.removeprefix("/").split("/"):
        found = [
            ((*path, part), child)
            for path, parent in found
            for part, child in children(parent)
            if step in {"*", str(part)}
        ]
    return [path for path, _ in found]


def children(value: Any) -> Iterator[tuple[str | int, Any]]:
    """Yield what an object or a list holds, with its key or its place."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def is_reference(declaration: Any) -> bool:
    """Return True for ``{"ref": "Name"}``, which stands for what is declared elsewhere."""
    return (
        isinstance(declaration, Mapping)
        and "ref" in declaration
        and not declaration.keys() & {"name", "path"}
    )
