# SPDX-License-Identifier: Apache-2.0
"""What may be declared, and this version does not do: said before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.nested import nested_places
from mmar_runner.mmar.checks.places import places
from mmar_runner.mmar.checks.train import resolve_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.components.build import Parts
    from mmar_runner.mmar.components.resolving import Resolved
    from mmar_runner.mmar.document import Document

    _Place = tuple[Document, JsonPath, Resolved]


def check_available(look: Look) -> None:
    """Check that nothing is declared which would be refused, or left out, at the start."""
    if look.server is not None:
        _server_code(look, look.server)
    if look.client is not None:
        _client_handlers(look, look.client)


def _server_code(look: Look, server: Document) -> None:
    read = _read_by_validator(look) if server.value.get("validate_every") else ()
    for document, path, part in (*_declared(look, server), *read):
        if part.spec is None or not part.spec.byoc:
            continue
        if look.byoc.is_unreadable(part.spec.name):
            continue  # which was said; what it is, nobody knows
        if part.spec.kind is ComponentKind.FILTER or _takes_whole_updates(part):
            continue  # it lives in a child, if whoever runs the server lets it
        message = f"'{part.spec.name}' is code of this MMAR, and the server runs none of it."
        hint = "Install it as a plugin on the server, or give it with --plugins-dir."
        look.findings.at(document, (*path, "path"), "MMAR625", message, hint=hint)


def _takes_whole_updates(part: Resolved) -> bool:
    return part.description is not None and bool(part.description.extras.get("whole_updates"))


def _client_handlers(look: Look, client: Document) -> None:
    for path, part in _placed(look.client_parts, "handlers"):
        if part.spec is None:
            continue
        message = f"'{part.spec.name}' is never called: a client has no events to see."
        hint = "Declare it in config_fed_server.json, where handlers see the run, or remove it."
        look.findings.at(client, path, "MMAR626", message, hint=hint)


def _declared(look: Look, server: Document) -> Iterator[_Place]:
    """Yield every component of the server file, those in arguments included."""
    parts = look.server_parts
    placed = [*parts.singles.items()]
    for slot in parts.lists:
        placed += _placed(parts, *slot)
    for path, part in placed:
        yield from _with_inner(look, server, path, part)


def _read_by_validator(look: Look) -> Iterator[_Place]:
    """Yield what the server's model_validator builds of the workflow files."""
    reader = look.server_parts.singles.get(("model_validator",))
    if reader is None or reader.description is None:
        return
    files, extras = look.files, reader.description.extras
    for document, key in ((files.train, "train_parts"), (files.validation, "validation_parts")):
        if document is None:
            continue
        for pattern, kind in extras.get(key, {}).items():
            for path in places(document.value, pattern):
                found = resolve_part(look.resolver, document, path, ComponentKind(kind))
                yield from _with_inner(look, document, path, found)


def _with_inner(look: Look, document: Document, path: JsonPath, part: Resolved) -> Iterator[_Place]:
    yield document, path, part
    if part.description is None:
        return
    args = document.get((*path, "args"), {})
    for place, kind in nested_places(part.description.args_schema, args):
        inner = (*path, "args", *place)
        found = look.resolver.resolve(document, inner, kind)
        yield from _with_inner(look, document, inner, found)


def _placed(parts: Parts, *slot: str | int) -> list[tuple[JsonPath, Resolved]]:
    return [((*slot, index), part) for index, part in enumerate(parts.lists.get(slot, ()))]
