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
        stood = [(self.document.origin(item), value[int(item[-1])], item) for item in items]
        inner = {item: self._inner(item) for item in items}
        for index in range(len(value)):
            self._forget((*path, index))
        value[:] = [kept for _, kept, _ in stood]
        for index, (origin, _, item) in enumerate(stood):
            self.document.moves[(*path, index)] = origin
            for rest, place in inner[item].items():
                self.document.moves[(*path, index, *rest)] = place

    def _inner(self, path: JsonPath) -> dict[JsonPath, JsonPath]:
        """Return where parts of what stands at a path came from, by the rest of their path."""
        moves, length = self.document.moves, len(path)
        return {p[length:]: o for p, o in moves.items() if len(p) > length and p[:length] == path}

    def _forget(self, path: JsonPath) -> None:
        moves = self.document.moves
        for known in [known for known in moves if known[: len(path)] == path]:
            del moves[known]

    def _carry(self, source: JsonPath, target: JsonPath) -> None:
        """Have what was moved within a member be known where the member is now."""
        for rest, origin in self._inner(source).items():
            self.document.moves[(*target, *rest)] = origin

    def _parent(self, path: JsonPath) -> dict[str, Any]:
        value: Any = self.document.value
        for part in path[:-1]:
            value = value[part] if isinstance(part, int) else value.setdefault(part, {})
        parent: dict[str, Any] = value
        return parent
