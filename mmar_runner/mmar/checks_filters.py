# SPDX-License-Identifier: Apache-2.0
"""Is what one side's filters do undone by the other side's, in reverse order?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.mmar.aliases import FILTER_PAIRS
from mmar_runner.mmar.components import is_off
from mmar_runner.mmar.look import Look

if TYPE_CHECKING:
    from mmar_runner.mmar.build import Parts
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.json_source import JsonPath

_UNDOES = {second: first for first, second in FILTER_PAIRS.items()}


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


def _direction(
    look: Look, sender: tuple[Document, Parts], receiver: tuple[Document, Parts], who: str
) -> None:
    done = _places(*sender, "outbound_filters", undoing=False)
    undone = _places(*receiver, "inbound_filters", undoing=True)
    wanted, found = [p.undo for p in reversed(done)], [p.undo for p in undone]
    if wanted == found:
        return
    if sorted(wanted) == sorted(found):
        index = next(i for i, (a, b) in enumerate(zip(wanted, found, strict=True)) if a != b)
        message = f"Filters must be undone in reverse order: '{wanted[index]}' comes here."
        hint = f"inbound_filters of the {who}: {', '.join(wanted)}."
        look.findings.at(receiver[0], undone[index].path, "MMAR605", message, hint=hint)
        return
    _unpaired(look, sender[0], receiver[0], done, undone, who)


def _unpaired(
    look: Look,
    sender: Document,
    receiver: Document,
    done: list[_Place],
    undone: list[_Place],
    who: str,
) -> None:
    left = [place.undo for place in undone]
    for place in done:
        if place.undo in left:
            left.remove(place.undo)
            continue
        message = f"Nothing undoes '{place.name}': the {who} has no '{place.undo}'."
        hint = f"Add '{place.undo}' to the {who}'s inbound_filters, or remove '{place.name}'."
        look.findings.at(sender, place.path, "MMAR605", message, hint=hint)
    for place in reversed(undone):
        if place.undo in left:
            left.remove(place.undo)
            message = f"'{place.name}' has nothing to undo."
            hint = "Remove it, or add its counterpart to the other side's outbound_filters."
            look.findings.at(receiver, place.path, "MMAR605", message, hint=hint)


def _places(document: Document, parts: Parts, slot: str, *, undoing: bool) -> list[_Place]:
    """Return the filters of a list that do (or undo) something, in order."""
    items = document.get((slot,), [])
    resolved = parts.lists.get((slot,), [])
    places = []
    for index, item in enumerate(items if isinstance(items, list) else []):
        if not isinstance(item, dict) or is_off(item):
            continue
        name = str(item.get("path") or item.get("name") or "").rpartition(".")[2]
        found = resolved[index].description if index < len(resolved) else None
        extras = found.extras if found is not None else {}
        if undoing:
            undo = name if name in _UNDOES or "undoes" in extras else None
        else:
            undo = extras.get("undone_by") or FILTER_PAIRS.get(name)
        if undo:
            places.append(_Place((slot, index), name, str(undo)))
    return places
