# SPDX-License-Identifier: Apache-2.0
"""What comes of an order, for people as it comes, and for programs at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmar_runner.cli.output import echo_hint, say
from mmar_runner.cli.views.tables import table
from mmar_runner.documents.words import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class AdminView:
    """Shows the events of one order.

    Args:
        quiet: Say nothing: the result is written at the end.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._value: Mapping[str, Any] = {}
        self._missing: list[dict[str, Any]] = []
        self._end: Mapping[str, Any] = {"status": "failed", "seconds": 0.0}

    def show(self, event: Mapping[str, Any]) -> None:
        """Show one event."""
        match event["kind"]:
            case "value":
                self._value = event["value"]
            case "missing":
                self._missing.append({key: event[key] for key in _MISSING})
                self._say_missing(event)
            case "end":
                self._end = event
            case _ if self._quiet:
                pass
            case "text":
                say(*str(event["text"]).split("\n"))
            case "table":
                self._say_table(event)

    def result(self, words: Sequence[str]) -> dict[str, Any]:
        """Return the order's result, as in the schema ``admin_result``."""
        return {
            "command": list(words),
            "status": self._end["status"],
            "seconds": self._end["seconds"],
            "value": dict(self._value),
            "missing": self._missing,
        }

    def _say_missing(self, event: Mapping[str, Any]) -> None:
        if self._quiet:
            return
        say(f"{event['target']}: {event['message']} [{event['reason']}]", err=True)
        if event["hint"]:
            echo_hint(printable(str(event["hint"])))

    def _say_table(self, event: Mapping[str, Any]) -> None:
        if event["title"]:
            say(str(event["title"]))
        rows = [[printable(str(cell)) for cell in row] for row in event["rows"]]
        say(*table([printable(str(one)) for one in event["columns"]], rows, indent=2).split("\n"))


_MISSING = ("target", "reason", "message", "hint")
