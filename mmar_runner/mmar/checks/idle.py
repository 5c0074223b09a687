# SPDX-License-Identifier: Apache-2.0
"""What of the workflow files does nothing here, as the schemas of their readers say (``x-idle``).

Nothing that no reader reads is worth a warning: a variable there needs no value. It stays in the
file when an archive is upgraded: the same workflow may be run elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmar_runner.mmar.checks.train import readers
from mmar_runner.mmar.sources.configuration import UNDEFINED
from mmar_runner.mmar.sources.draft import Draft

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.document import Document


def check_idle(look: Look) -> None:
    """Note what does nothing here, and take back what was said of variables in it."""
    parts = (*look.server_parts.every(), *look.client_parts.every())
    if any(part.spec is not None and part.spec.byoc for part in parts):
        return  # code of the MMAR's own may read anything
    for what, document in (("train", look.files.train), ("validation", look.files.validation)):
        if document is None:
            continue
        draft = Draft(document, look.findings)
        for path, reason in _idle(look, document, what).items():
            draft.note(path, "MMAR211", f"'{path[-1]}' has no effect: {reason}.")
            draft.unread(path)
        look.findings.forget_unread(document, UNDEFINED)


def _idle(look: Look, document: Document, what: str) -> Mapping[JsonPath, str]:
    """Return why places of a workflow file do nothing, where all who may read it agree on it."""
    schemas = (reader.extras.get(f"{what}_schema") for reader in readers(look))
    idle = [dict(_places(schema, document.value, ())) for schema in schemas if schema]
    if not idle:
        return {}
    first, *others = idle
    return {path: why for path, why in first.items() if all(path in other for other in others)}


def _places(schema: Any, value: Any, path: JsonPath) -> Iterator[tuple[JsonPath, str]]:
    """Yield every place that a schema calls idle, and why, but not in what is switched off."""
    if not isinstance(schema, Mapping):
        return
    if "x-idle" in schema:
        yield path, str(schema["x-idle"])
    elif isinstance(value, dict) and value.get("disabled") is not True:
        for key, inner in schema.get("properties", {}).items():
            if key in value:
                yield from _places(inner, value[key], (*path, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _places(schema.get("items"), one, (*path, index))
