# SPDX-License-Identifier: Apache-2.0
"""What comes of an order: events that a command yields and a console shows, in order.

As JSON they stand in the schema ``admin_event``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """Lines for people."""

    text: str

    def to_json(self) -> dict[str, Any]:
        """Return it as it travels."""
        return {"kind": "text", "text": self.text}


@dataclass(frozen=True, slots=True)
class Table:
    """A table for people.

    Attributes:
        columns: Headings.
        rows: Cells, each a text, as many in a row as there are columns.
        title: What it shows.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as it travels."""
        rows = [list(row) for row in self.rows]
        return {"kind": "table", "title": self.title, "columns": list(self.columns), "rows": rows}


@dataclass(frozen=True, slots=True)
class Value:
    """The result for programs; the last one of an order is its result."""

    value: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return it as it travels."""
        return {"kind": "value", "value": dict(self.value)}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far something is that takes a while."""

    what: str
    done: int
    total: int
    unit: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as it travels."""
        facts = {"what": self.what, "done": self.done, "total": self.total, "unit": self.unit}
        return {"kind": "progress", **facts}


@dataclass(frozen=True, slots=True)
class Status:
    """What a run is at, as ``status.json`` says it; for a view that is drawn anew."""

    facts: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return it as it travels."""
        return {"kind": "status", "facts": dict(self.facts)}


@dataclass(frozen=True, slots=True)
class Missing:
    """One target from which there is no good answer, and why.

    Attributes:
        target: A client's name, or ``server``.
        reason: A stable id.
        message: A sentence.
        hint: The mend, or empty.
    """

    target: str
    reason: str
    message: str
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as it travels."""
        facts = {"target": self.target, "reason": self.reason}
        return {"kind": "missing", **facts, "message": self.message, "hint": self.hint}


Event: TypeAlias = Text | Table | Value | Progress | Status | Missing
