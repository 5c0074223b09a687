# SPDX-License-Identifier: Apache-2.0
"""Bringing generation 3.1 into the form of generation 4, in memory, with a note per key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.mmar import aliases
from mmar_runner.mmar.sources.draft import Draft

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings

_TASK: JsonPath = ("servers", 0)


def upgrade_server(document: Document, findings: Findings) -> None:
    """Upgrade a server file of generation 3.1."""
    draft = Draft(document, findings)
    _mark(draft)
    if "exclude_vars" in draft.object_at(_TASK):
        draft.note((*_TASK, "exclude_vars"), "MMAR210", "'exclude_vars' is now a top-level key.")
        draft.move((*_TASK, "exclude_vars"), ("exclude_vars",))
    _rename(draft, ("model_saver",), ("model_persistor",))
    _rename(draft, ("pre_processors",), ("outbound_filters",))
    _rename(draft, ("post_processors",), ("inbound_filters",))


def upgrade_client(document: Document, findings: Findings) -> None:
    """Upgrade a client file of generation 3.1."""
    draft = Draft(document, findings)
    _mark(draft)
    _trainer(draft)
    _privacy(draft)
    _excluded(draft)
    _filters(draft, "pre_processors", "outbound_filters")
    _filters(draft, "post_processors", "inbound_filters")
    _cross_site(draft)


def _mark(draft: Draft) -> None:
    draft.document.value.setdefault("format_version", 1)


def _rename(draft: Draft, old: JsonPath, new: JsonPath) -> None:
    if old[-1] in draft.object_at(old[:-1]):
        name = "/".join(str(part) for part in new)
        draft.note(old, "MMAR210", f"'{old[-1]}' is now '{name}'.")
        draft.move(old, new)


def _trainer(draft: Draft) -> None:
    """Declare the trainer that the older program brought without naming it."""
    if "client_trainer" in draft.document.value:
        return
    args: dict[str, Any] = {}
    for key in ("local_epochs", "steps_aggregation"):
        if key in draft.object_at(("client",)):
            draft.note(("client", key), "MMAR210", f"'{key}' is now an argument of client_trainer.")
            args[key] = draft.drop(("client", key))
    trainer = {"name": aliases.IMPLIED_TRAINER, "args": args}
    draft.put(("client_trainer",), trainer, ("client",))
    moves = draft.document.moves
    moves[("client_trainer", "name")] = ("client",)
    for key in args:
        moves[("client_trainer", "args", key)] = ("client", key)


def _privacy(draft: Draft) -> None:
    if "privacy" not in draft.object_at(("client",)):
        return
    value = draft.drop(("client", "privacy"))
    said = "is now the first of 'outbound_filters'" if value else "is empty and is left out"
    draft.note(("client", "privacy"), "MMAR210", f"'privacy' {said}.")
    if value:
        draft.append(("outbound_filters",), value, ("client", "privacy"))


def _excluded(draft: Draft) -> None:
    path = ("client", "exclude_vars")
    if path[-1] not in draft.object_at(("client",)):
        return
    value = draft.drop(path)
    if value is None or (isinstance(value, str) and value in aliases.EXCLUDES_NOTHING):
        draft.note(path, "MMAR210", "'exclude_vars' excludes nothing and is left out.")
        return
    draft.note(path, "MMAR210", "'exclude_vars' is now the filter 'ExcludeVars'.")
    args = {"exclude_vars": value}
    draft.append(("outbound_filters",), {"name": "ExcludeVars", "args": args}, path)
    index = len(draft.document.value["outbound_filters"]) - 1
    for inner in (("name",), ("args",), ("args", "exclude_vars")):
        draft.document.moves[("outbound_filters", index, *inner)] = path


def _filters(draft: Draft, old: str, new: str) -> None:
    path = ("client", old)
    if old not in draft.object_at(("client",)):
        return
    draft.note(path, "MMAR210", f"'{old}' is now '{new}'.")
    items = draft.drop(path)
    if not isinstance(items, list):
        draft.put((new,), items, path)
        return
    for index, item in enumerate(items):
        draft.append((new,), item, (*path, index))
    draft.document.value.setdefault(new, [])


def _cross_site(draft: Draft) -> None:
    client = draft.object_at(("client",))
    if "cross_site_validate" in client:
        path = ("client", "cross_site_validate")
        draft.note(path, "MMAR210", "'cross_site_validate' is now 'cross_validate'.")
        value = draft.drop(path)
        draft.put(("cross_validate",), value, path)
        draft.put(("cross_site_validation", "is_participating"), value, path)
    if "model_validator" in client:
        new = ("cross_site_validation", "model_validator")
        _rename(draft, ("client", "model_validator"), new)
