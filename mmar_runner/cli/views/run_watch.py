# SPDX-License-Identifier: Apache-2.0
"""A run as an administrator watches it: drawn anew on a terminal, else a line per change.

The facts are those of ``status.json``, from a server that may send anything: what is missing
or of another kind is left out.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mmar_runner.cli.views.wording import human_progress
from mmar_runner.documents.words import counted, human_seconds, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console, RenderableType

_BAR_WIDTH: Final = 30
#: Lines of a terminal that are not for clients.
_OTHER_LINES: Final = 8
_STYLES: Final = {
    "training": "yellow",
    "validating": "yellow",
    "transferring": "cyan",
    "done": "green",
    "left": "red",
    "running": "green",
    "finished": "green",
    "failed": "bold red",
    "stopped": "yellow",
}


class RunWatch:
    """Shows what a run is at, status after status.

    Args:
        console: Where.
        clock: Seconds, monotonic.
    """

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._live: Live | None = None
        self._facts: Mapping[str, Any] = {}
        self._came = clock()
        self._said = ""

    def show(self, facts: Mapping[str, Any]) -> None:
        """Show a status in place of the one before."""
        self._facts, self._came = {"updated": _now(), **_known(facts)}, self._clock()
        if not self._console.is_terminal:
            self._say(line_of(facts))
        elif self._live is None:
            self._live = Live(
                console=self._console, get_renderable=self._render, refresh_per_second=2
            )
            self._live.start()
        else:
            self._live.refresh()

    def stop(self) -> None:
        """Leave the last picture where it is."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _say(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self._console.print(Text(line), soft_wrap=True)

    def _render(self) -> RenderableType:
        most = max(3, self._console.height - _OTHER_LINES)
        return picture(self._facts, passed=self._clock() - self._came, most=most)


def line_of(facts: Mapping[str, Any]) -> str:
    """Return a status in a line."""
    parts = [_head(facts), *_results(facts)]
    if isinstance(facts.get("clients"), list):
        clients = _clients(facts)
        working = sum(client.get("state") not in ("idle", "left") for client in clients)
        parts.append(f"{counted(len(clients), 'client')}, {working} at work")
    if waiting := _text(facts, "waiting_for"):
        parts.append(f"waiting since {_text(facts, 'since')}: {waiting}")
    if reason := _text(facts, "reason"):
        parts.append(reason)
    return "; ".join(parts)


def picture(facts: Mapping[str, Any], *, passed: float, most: int) -> RenderableType:
    """Return a status as it is drawn.

    Args:
        facts: The status.
        passed: Seconds since it came.
        most: Clients that are shown.
    """
    status = _text(facts, "status")
    parts: list[RenderableType] = [Text(_head(facts), style=_STYLES.get(status, "bold"))]
    parts += [_bar(facts), *map(Text, _results(facts))]
    if waiting := _text(facts, "waiting_for"):
        parts.append(Text(f"waiting since {_text(facts, 'since')}: {waiting}", style="yellow"))
    if reason := _text(facts, "reason"):
        parts.append(Text(reason, style="yellow"))
    if clients := _clients(facts):
        parts.append(_table(clients, _text(facts, "updated"), passed, most))
    if status == "running":
        parts.append(Text("Ctrl-C ends this view; the run goes on.", style="dim"))
    return Group(*parts)


def _head(facts: Mapping[str, Any]) -> str:
    number, total = facts.get("round"), facts.get("num_rounds")
    run = facts.get("run_number")
    head = f"run {run}: " if isinstance(run, int) else ""
    where = f", round {number}" if isinstance(number, int) else ""
    until = f" (until {total})" if where and isinstance(total, int) and total >= 0 else ""
    return f"{head}{_text(facts, 'status') or 'unknown'}{where}{until}"


def _results(facts: Mapping[str, Any]) -> list[str]:
    """Return what a run that has ended says of itself: its last status is its summary."""
    rounds, seconds = facts.get("rounds"), facts.get("wall_seconds")
    if not isinstance(rounds, list):
        return []
    took = f" in {human_seconds(seconds)}" if isinstance(seconds, int | float) else ""
    models = (("final model", "final_model"), ("best model", "best_model"))
    named = [f"{what}: {said}" for what, key in models if (said := _text(facts, key))]
    return [f"{counted(len(rounds), 'round')}{took}", *named]


def _bar(facts: Mapping[str, Any]) -> RenderableType:
    number, total = facts.get("round"), facts.get("num_rounds")
    if isinstance(number, int) and isinstance(total, int) and total > 0:
        bar = ProgressBar(total=total, completed=max(0, min(number, total)), width=_BAR_WIDTH)
        line = Table.grid()  # a bar alone ends no line
        line.add_row(bar)
        return line
    return Text("")


def _table(
    clients: list[Mapping[str, Any]], updated: str, passed: float, most: int
) -> RenderableType:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("client", "state", "last heard", "progress"):
        table.add_column(column, overflow="fold")
    for client in clients[:most]:
        state = _text(client, "state")
        heard = _ago(_text(client, "last_heard"), updated, passed)
        style = _STYLES.get(state, "")
        table.add_row(
            Text(_text(client, "name")), Text(state, style=style), Text(heard), _progress(client)
        )
    if len(clients) > most:
        table.add_row(Text(f"and {len(clients) - most} more", style="dim"))
    return table


def _progress(client: Mapping[str, Any]) -> Text:
    said = client.get("progress")
    if not isinstance(said, dict) or said.get("unit") not in ("bytes", "steps"):
        return Text("")
    numbers = {key: said.get(key) for key in ("done", "total")}
    if not all(isinstance(one, int | float | None) for one in numbers.values()):
        return Text("")
    return Text(human_progress({**numbers, "unit": said["unit"]}))


def _ago(heard: str, updated: str, passed: float) -> str:
    """Return how long ago a client was heard of, by the server's own clock."""
    try:
        since = (datetime.fromisoformat(updated) - datetime.fromisoformat(heard)).total_seconds()
    except (ValueError, TypeError):
        return heard
    return f"{human_seconds(max(0.0, since + passed))} ago"


def _clients(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    clients = facts.get("clients")
    return [one for one in clients if isinstance(one, dict)] if isinstance(clients, list) else []


def _known(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if value is not None}


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _text(facts: Mapping[str, Any], key: str) -> str:
    value = facts.get(key)
    return printable(value) if isinstance(value, str) else ""
