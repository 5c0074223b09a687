# SPDX-License-Identifier: Apache-2.0
"""A changed document as JSON text: keys and numbers as their author wrote them.

Members stand in the order of the file they came from, also those that moved; a number that
did not change keeps its spelling (``1e-4``). Blank lines and the author's indentation are
lost: the reader keeps where values stand, and not what is between them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.document import Document

_INDENT: Final = "  "
_WIDTH: Final = 88
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
#: What stands first in a file, though no older file has it.
_FIRST: Final = ("format_version",)


def document_text(document: Document) -> str:
    """Return a document's present value as the text of a file."""
    return f"{_text(document, (), document.value, '')}\n"


def _text(document: Document, path: JsonPath, value: Any, indent: str) -> str:
    if isinstance(value, dict) and value:
        inner = indent + _INDENT
        members = [
            f"{inner}{json.dumps(key, ensure_ascii=False)}: "
            f"{_text(document, (*path, key), value[key], inner)}"
            for key in _in_order(document, path, value)
        ]
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    if isinstance(value, list) and value:
        return _list(document, path, value, indent)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _as_written(document, path, value) or json.dumps(value)
    return json.dumps(value, ensure_ascii=False)


def _list(document: Document, path: JsonPath, value: list[Any], indent: str) -> str:
    """Return a list, in one line if it holds nothing but scalars and fits."""
    inner = indent + _INDENT
    items = [_text(document, (*path, i), item, inner) for i, item in enumerate(value)]
    line = f"[{', '.join(items)}]"
    scalars = not any(isinstance(item, dict | list) and item for item in value)
    if scalars and len(indent) + len(line) <= _WIDTH:
        return line
    return "[\n" + ",\n".join(inner + item for item in items) + f"\n{indent}]"


def _in_order(document: Document, path: JsonPath, value: dict[str, Any]) -> list[str]:
    """Return the keys of an object in the order of what they came from in the file."""
    source = document.source

    def place(key: str) -> tuple[int, int]:
        origin = document.origin((*path, key))
        offset = source.keys.get(origin, source.values.get(origin))
        if offset is None:
            return (0 if not path and key in _FIRST else 2, 0)
        return (1, offset)

    return sorted(value, key=place)


def _as_written(document: Document, path: JsonPath, value: float) -> str | None:
    """Return a number as it stands in the file, if it is the same; None otherwise."""
    at = document.source.values.get(document.origin(path))
    found = None if at is None else _NUMBER.match(document.source.text, at)
    if found is None:
        return None
    written = json.loads(found[0])
    return found[0] if written == value and type(written) is type(value) else None
