# SPDX-License-Identifier: Apache-2.0
"""What comes of an order, for people as it comes, and for programs at its end.

Whatever a server sends is shown and never obeyed: no terminal sees a control character.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmar_runner.cli.output import echo_hint, harmless_json, say
from mmar_runner.cli.views.run_watch import RunWatch
from mmar_runner.cli.views.tables import table
from mmar_runner.cli.views.transfer_bar import TransferBar
from mmar_runner.documents.words import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self, TextIO

#: Rows of a table that a terminal shows; a file gets them all.
_MOST_ROWS: Final = 1000
#: Columns that are drawn side by side however narrow the terminal is.
_FEW: Final = 2
#: The longest time that is said, in seconds: a server may tell any number.
_LONGEST: Final = 1e9
_MISSING: Final = ("target", "reason", "message", "hint")


class AdminView:
    """Shows the events of one order; use it in ``with``.

    Args:
        stream: Where people read; None for standard output.
        quiet: Say nothing: the result is written at the end.
        statuses: Of a run that is watched, write every status as a line of JSON.
    """

    def __init__(
        self, *, stream: TextIO | None = None, quiet: bool = False, statuses: bool = False
    ) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._quiet, self._statuses = quiet, statuses
        self._console = Console(file=self._stream, highlight=False, markup=False, emoji=False)
        self._watch = RunWatch(self._console)
        self._bar = TransferBar(self._console)
        self._value: Mapping[str, Any] = {}
        self._missing: list[dict[str, Any]] = []
        self._end: Mapping[str, Any] = {"status": "failed"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the terminal back."""
        self._watch.stop()
        self._bar.stop()

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
            case "status" if self._statuses:
                self._write(harmless_json(json.dumps(event["facts"], ensure_ascii=False)))
            case _ if not self._quiet:
                self._say(event)

    @property
    def is_done(self) -> bool:
        """Whether it was done, at every target."""
        return bool(self._end["status"] == "done")

    def done(self, seconds: float) -> str:
        """Return the line that says that an answer is complete.

        Args:
            seconds: How long it took, if the server did not say.
        """
        took = min(self._end.get("seconds", seconds), _LONGEST)
        at = self._end.get("at") or f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return f"Done [{took:.6f}] {at}"

    def result(self, words: Sequence[str]) -> dict[str, Any]:
        """Return the order's result, as in the schema ``admin_result``."""
        return {
            "command": list(words),
            "status": self._end["status"],
            "seconds": self._end.get("seconds", 0.0),
            "value": dict(self._value),
            "missing": self._missing,
        }

    def _say(self, event: Mapping[str, Any]) -> None:
        if event["kind"] != "progress":
            self._bar.stop()  # what it counted has ended
        if event["kind"] != "status":
            self._watch.stop()
        match event["kind"]:
            case "text":
                self._write(*event["text"].split("\n"))
            case "table":
                self._say_table(event)
            case "progress":
                self._bar.show(event)
            case "status":
                self._watch.show(event["facts"])

    def _say_missing(self, event: Mapping[str, Any]) -> None:
        if self._quiet:
            return
        say(f"{event['target']}: {event['message']} [{event['reason']}]", err=True)
        if event["hint"]:
            echo_hint(event["hint"])

    def _say_table(self, event: Mapping[str, Any]) -> None:
        columns = [printable(one) for one in event["columns"]]
        rows = [[printable(cell) for cell in row] for row in event["rows"]]
        if not columns:
            return
        if not self._is_terminal:
            self._write_table(event["title"], columns, rows)
            return
        title = printable(event["title"])
        if _fits(columns, rows[:_MOST_ROWS], self._console.width):
            self._console.print(_grid(title, columns, rows[:_MOST_ROWS], self._console.width))
        else:
            for at, row in enumerate(rows[:_MOST_ROWS]):
                if at:
                    self._console.print()
                self._console.print(_record("" if at else title, columns, row))
        if (more := len(rows) - _MOST_ROWS) > 0:
            self._write(f"and {more} more: COMMAND > FILE writes them all into a file")

    def _write_table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        lines = table(columns, rows, indent=2, width=0).split("\n")
        self._write(*([title] if title else []), *(lines if any(columns) else lines[1:]))

    def _write(self, *lines: str) -> None:
        self._stream.write("".join(f"{printable(line)}\n" for line in lines))
        self._stream.flush()


def _fits(columns: list[str], rows: list[list[str]], width: int) -> bool:
    """Return True if no word is broken when a table is drawn so wide."""
    # A digest may be broken where it is all that is too long.
    longest = _longest_words(columns, rows)
    return len(columns) <= _FEW or sum(longest) <= _room(columns, width)


def _room(columns: list[str], width: int) -> int:
    """Return how many letters of a line are left for cells."""
    return width - 3 * len(columns)


def _longest_words(columns: list[str], rows: list[list[str]]) -> list[int]:
    words = ((cell.split() for cell in cells) for cells in zip(columns, *rows, strict=True))
    return [max((len(word) for cell in column for word in cell), default=0) for column in words]


def _widths(columns: list[str], rows: list[list[str]], width: int) -> list[int]:
    """Return the columns' widths: no word is broken, and who needs least gets it first."""
    found = _longest_words(columns, rows)
    whole = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for at in sorted(range(len(found)), key=lambda at: whole[at] - found[at]):
        found[at] = min(whole[at], found[at] + _room(columns, width) - sum(found))
    return found


def _grid(title: str, columns: list[str], rows: list[list[str]], width: int) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, show_header=any(columns), pad_edge=False)
    shown.title = Text(title, style="bold") if title else None
    shown.title_justify = "left"
    few = len(columns) <= _FEW  # one may hold a word that is longer than a line
    for column, wide in zip(columns, _widths(columns, rows, width), strict=True):
        shown.add_column(Text(column), overflow="fold", width=None if few else wide)
    for row in rows:
        shown.add_row(*map(Text, row))
    return shown


def _record(title: str, columns: list[str], row: list[str]) -> Table:
    """Return a row by itself, a line for every cell: its table is wider than the terminal."""
    shown = Table(box=None, show_header=False, pad_edge=False)
    shown.title, shown.title_justify = Text(title, style="bold"), "left"
    shown.add_column(style="dim")
    shown.add_column(overflow="fold")
    for column, cell in zip(columns, row, strict=True):
        shown.add_row(Text(column), Text(cell))
    return shown
