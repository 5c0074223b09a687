# SPDX-License-Identifier: Apache-2.0
"""Which regular expressions may take for ever, and which leave nothing to be learned?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.patterns import finds_everything, may_explode
from mmar_runner.mmar.components.build import excluded

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.components.build import Parts
    from mmar_runner.mmar.document import Document

_EXCLUDES: Final = "exclude_vars"


def check_expressions(look: Look) -> None:
    """Warn of expressions that repeat what is itself repeated, or that exclude everything."""
    if look.server is not None:
        _check(look, look.server, ("exclude_vars",), look.server.value.get("exclude_vars"))
        _arguments(look, look.server, look.server_parts)
    if look.client is not None:
        _arguments(look, look.client, look.client_parts)


def _arguments(look: Look, document: Document, parts: Parts) -> None:
    placed = [*parts.singles.items()]
    for slot, items in parts.lists.items():
        placed += [((*slot, index), part) for index, part in enumerate(items)]
    for path, part in placed:
        if part.spec is not None and part.description is not None:
            for place, text in _expressions(part.description.args_schema, part.spec.args):
                _check(look, document, (*path, "args", *place), text)


def _expressions(schema: Mapping[str, Any], args: Any) -> Iterator[tuple[JsonPath, Any]]:
    for name, inner in schema.get("properties", {}).items():
        if isinstance(inner, Mapping) and inner.get("format") == "regex" and name in args:
            yield (name,), args[name]


def _check(look: Look, document: Document, path: JsonPath, text: Any) -> None:
    if not isinstance(text, str):
        return
    if may_explode(text):
        message = f"{text!r} repeats what is itself repeated, and may take for ever."
        hint = "Write it without a repetition within a repetition, such as a+ for (a+)+."
        look.findings.at(document, path, "MMAR405", message, hint=document.explain(path, hint))
    elif path[-1] == _EXCLUDES and (found := excluded(text)) and finds_everything(found):
        message = f"{text!r} is found in the name of every tensor: nothing would be learned."
        hint = "Name the tensors that are to stay as they are, or remove it."
        look.findings.at(document, path, "MMAR641", message, hint=document.explain(path, hint))
