# SPDX-License-Identifier: Apache-2.0
"""Declarations within the arguments of a component: what stands there, and what must."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.documents.schema_check import declaration_of, show
from mmar_runner.interfaces.nested import misplaced
from mmar_runner.mmar.components.absent import with_article

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings


def declares_all(
    document: Document,
    path: JsonPath,
    schema: Mapping[str, Any],
    args: dict[str, Any],
    findings: Findings,
) -> bool:
    """Return False, and say so, if a component's place holds anything but declarations."""
    sound = True
    for place, kind, value in misplaced(schema, args):
        where = (*path, *place)
        if not findings.has_at(document, where):
            message = f"'{place[-1]}' must declare {with_article(kind)}, found {show(value)}."
            named = declaration_of(value) if isinstance(value, str) else None
            hint = named or 'Write {"name": ..., "args": {...}}.'
            findings.at(document, where, "MMAR513", message, hint=hint)
        sound = False
    return sound


def is_missed(
    document: Document,
    where: JsonPath,
    schema: Mapping[str, Any],
    place: JsonPath,
    findings: Findings,
) -> bool:
    """Return True, and say so, if what is switched off cannot be done without."""
    if len(place) != 1 or place[0] not in schema.get("required", ()):
        return False
    message = f"'{place[0]}' is required but is empty or switched off."
    findings.at(document, where, "MMAR516", message, hint="Declare it.")
    return True
