# SPDX-License-Identifier: Apache-2.0
"""Is what one side's filters do undone by the other side's, in reverse order?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.interfaces.nested import is_off

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.components.build import Parts
    from mmar_runner.mmar.document import Document


@dataclass(frozen=True, slots=True)
class _Place:
    """A filter that does something, by the name of the filter that undoes it."""

    path: JsonPath
    name: str
    undo: str


def check_filters(look: Look) -> None:
    """Check that filters pair in both directions."""
    both = look.both()
    if both is None:
        return
    server, client = both
    _direction(look, (server, look.server_parts), (client, look.client_parts), "client")
    _direction(look, (client, look.client_parts), (server, look.server_parts), "server")


@dataclass(frozen=True, slots=True)
class _Way:
    """One direction: what the sender's filters do, and what the receiver's undo."""

    sender: Document
    receiver: Document
    done: list[_Place]
    undone: list[_Place]
    who: str


def _direction(
    look: Look, sender: tuple[Document, Parts], receiver: tuple[Document, Parts], who: str
) -> None:
    done = _places(*sender, "outbound_filters", undoing=False)
    undone = _places(*receiver, "inbound_filters", undoing=True)
    if done is None or undone is None:
        return  # a filter is not known, which was said; it may be the one that is missed
    way = _Way(sender[0], receiver[0], done, undone, who)
    wanted, found = [p.undo for p in reversed(done)], [p.undo for p in undone]
    if sorted(wanted) != sorted(found):
        _unpaired(look, way)
    elif wanted != found:
        index = next(i for i, (a, b) in enumerate(zip(wanted, found, strict=True)) if a != b)
        message = f"Filters must be undone in reverse order: '{wanted[index]}' comes here."
        hint = f"inbound_filters of the {who}: {', '.join(wanted)}."
        look.findings.at(way.receiver, undone[index].path, "MMAR605", message, hint=hint)


def _unpaired(look: Look, way: _Way) -> None:
    left = [place.undo for place in way.undone]
    for place in way.done:
        if place.undo in left:
            left.remove(place.undo)
            continue
        message = f"Nothing undoes '{place.name}': the {way.who} has no '{place.undo}'."
        hint = f"Add '{place.undo}' to the {way.who}'s inbound_filters, or remove this."
        look.findings.at(way.sender, place.path, "MMAR605", message, hint=hint)
    for place in reversed(way.undone):
        if place.undo in left:
            left.remove(place.undo)
            message = f"'{place.name}' has nothing to undo."
            hint = "Remove it, or add its counterpart to the other side's outbound_filters."
            look.findings.at(way.receiver, place.path, "MMAR605", message, hint=hint)


def _places(document: Document, parts: Parts, slot: str, *, undoing: bool) -> list[_Place] | None:
    """Return the filters of a list that do (or undo) something, in order.

    None if one of them is not known at all.
    """
    items = document.get((slot,), [])
    resolved = parts.lists.get((slot,), [])
    places = []
    for index, item in enumerate(items if isinstance(items, list) else []):
        if not isinstance(item, dict) or is_off(item):
            continue
        name = str(item.get("path") or item.get("name") or "").rpartition(".")[2]
        found = resolved[index].description if index < len(resolved) else None
        if found is None and not _own(item):
            return None
        extras = found.extras if found is not None else {}
        undo = (name if "undoes" in extras else None) if undoing else extras.get("undone_by")
        if undo:
            places.append(_Place((slot, index), name, str(undo)))
    return places


def _own(item: dict[str, object]) -> bool:
    """Return True for code of the MMAR's own, which undoes nothing that is known."""
    return "path" in item
