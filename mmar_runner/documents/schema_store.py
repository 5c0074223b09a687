# SPDX-License-Identifier: Apache-2.0
"""Where the JSON Schemas lie, in the wheel and in the repository."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from mmar_runner.documents.words import did_you_mean
from mmar_runner.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent.parent
_PLACES = (_PACKAGE / "_data" / "schemas", _PACKAGE.parent / "schemas")


def schema_folder() -> Path:
    """Return the folder that holds the schemas.

    Raises:
        UsageError: The installation is incomplete.
    """
    for place in _PLACES:
        if place.is_dir():
            return place
    raise UsageError("The schemas are not installed.", hint="Reinstall mmar-runner.")


def schema_names() -> tuple[str, ...]:
    """Return the names of all schemas, sorted."""
    return tuple(sorted(path.stem for path in schema_folder().glob("*.json")))


@cache
def load_schema(name: str) -> dict[str, Any]:
    """Return a schema by name, such as ``config_fed_server``; treat it as read-only.

    Raises:
        UsageError: There is no schema of that name.
    """
    path = schema_folder() / f"{name}.json"
    if name not in schema_names():
        known = schema_names()
        hint = did_you_mean(name, known) or f"There are: {', '.join(known)}."
        raise UsageError(f"There is no schema {name!r}.", hint=hint)
    schema: dict[str, Any] = json.loads(path.read_bytes())
    return schema
