# SPDX-License-Identifier: Apache-2.0
"""Moving parts of a document about while remembering where they came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.documents.words import pointer_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings


class Draft:
    """A document that is being brought into canonical form."""

    def __init__(self, document: Document, findings: Findings) -> None:
        self.document = document
        self._findings = findings

    def object_at(self, path: JsonPath) -> dict[str, Any]:
        """Return the object at a path, or an empty one that is not part of anything."""
        value = self.document.get(path)
        return value if isinstance(value, dict) else {}

    def note(self, path: JsonPath, code: str, message: str, hint: str | None = None) -> None:
        """Say what becomes of a key."""
        self._findings.at(self.document, path, code, message, hint=hint, key=True)

    def warn(self, path: JsonPath, code: str, message: str) -> None:
        """Say what is lost."""
        self._findings.at(self.document, path, code, message)

    def drop(self, path: JsonPath) -> Any:
        """Remove a member and return its value."""
        return self.object_at(path[:-1]).pop(str(path[-1]), None)

    def leave_out(self, path: JsonPath) -> None:
        """Remove a member that nobody reads."""
        self.unread(path)
        self.drop(path)

    def unread(self, path: JsonPath) -> None:
        """Remember that nobody reads what stands at a path, and is left out."""
        self.document.idle.add(pointer_text(self.document.origin(path)))

    def put(self, path: JsonPath, value: Any, origin: JsonPath) -> None:
        """Set a member, made from what stands at ``origin`` in the file."""
        self._parent(path)[str(path[-1])] = value
        self.document.moves[path] = origin

    def move(self, source: JsonPath, target: JsonPath) -> None:
        """Move a member, unless the target is there already."""
        origin = self.document.origin(source)
        value = self.drop(source)
        parent = self._parent(target)
        if target[-1] not in parent:
            self.put(target, value, origin)
            self._carry(source, target)
        elif parent[str(target[-1])] != value:
            other = pointer_text(self.document.origin(target))
            message = f"'{source[-1]}' also stands at {other}, which counts."
            self.note(source, "MMAR406", message, "Remove this one.")

    def append(self, path: JsonPath, value: Any, origin: JsonPath) -> None:
        """Append to a list, made from what stands at ``origin`` in the file."""
        items = self._parent(path).setdefault(str(path[-1]), [])
        self.document.moves[(*path, len(items))] = origin
        items.append(value)

    def keep(self, path: JsonPath, items: Sequence[JsonPath]) -> None:
        """Leave some items of a list at a path, in their order, and drop the others."""
        value = self.document.get(path)
        if not isinstance(value, list) or len(items) == len(value):
            return
        now = {int(item[-1]): index for index, item in enumerate(items)}
        moves, depth = self.document.moves, len(path)
        # Every place is looked at once: a file may hold very many.
        kept = {p: o for p, o in moves.items() if len(p) <= depth or p[:depth] != path}
        for before, index in now.items():
            kept[(*path, index)] = self.document.origin((*path, before))
        for place, origin in moves.items():
            if len(place) > depth + 1 and place[:depth] == path and place[depth] in now:
                kept[(*path, now[int(place[depth])], *place[depth + 1 :])] = origin
        value[:] = [value[before] for before in now]
        moves.clear()
        moves.update(kept)

    def _carry(self, source: JsonPath, target: JsonPath) -> None:
        """Have what was moved within a member be known where the member is now."""
        moves, depth = self.document.moves, len(source)
        inner = [(p, o) for p, o in moves.items() if len(p) > depth and p[:depth] == source]
        for place, origin in inner:
            moves[(*target, *place[depth:])] = origin

    def _parent(self, path: JsonPath) -> dict[str, Any]:
        value: Any = self.document.value
        for part in path[:-1]:
            value = value[part] if isinstance(part, int) else value.setdefault(part, {})
        parent: dict[str, Any] = value
        return parent
