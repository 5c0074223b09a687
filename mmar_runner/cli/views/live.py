# SPDX-License-Identifier: Apache-2.0
"""The live table that a person watches in a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mmar_runner.cli.views.run_view import ClientRow, RunView, TaskStatus
from mmar_runner.cli.views.wording import further_lines, human_metrics, sentence
from mmar_runner.documents.words import human_bytes, human_seconds, printable
from mmar_runner.federation.client_status import ClientStatus
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.observer import Observation, Topic

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from rich.console import RenderableType

_STYLES: Final[Mapping[str, str]] = {
    ClientStatus.IDLE: "dim",
    ClientStatus.TRAINING: "yellow",
    ClientStatus.VALIDATING: "yellow",
    TaskStatus.UPLOADING: "cyan",
    ClientStatus.DONE: "green",
    TaskStatus.FAILED: "bold red",
    TaskStatus.REFUSED: "bold red",
    ClientStatus.LEFT: "red",
}
_MARKS: Final[Mapping[str, str]] = {
    ClientStatus.TRAINING: "●",
    ClientStatus.VALIDATING: "●",
    TaskStatus.UPLOADING: "↑",
    ClientStatus.DONE: "✓",
    TaskStatus.FAILED: "✗",
    TaskStatus.REFUSED: "✗",
    ClientStatus.LEFT: "✗",
}
#: Events that stay in the scroll-back above the table.
_KEPT: Final = frozenset(
    {
        Topic.ROUND_FINISHED,
        Topic.UPDATE_REFUSED,
        Topic.REFUSED,
        Topic.TASK_FAILED,
        Topic.CLIENT_LEFT,
        Topic.CLIENT_REMOVED,
        Topic.MIN_CLIENTS,
        Topic.TASK_GIVEN_AGAIN,
        Topic.TURN_PASSED,
        Topic.OUTLIER,
        Topic.CROSS_SITE_STARTED,
        Topic.CROSS_SITE_MODEL,
        Topic.COMPONENT_FAILED,
        Topic.SITE_DECLINED,
        Topic.LEFT_OUT,
        Topic.RUN_ENDED,
    }
)
_TITLES: Final = {"server": "server", "client": "client", "simulate": "simulation"}
_BAR_WIDTH: Final = 40
_MAX_ROWS: Final = 20


class LiveObserver:
    """Keeps a table of the run on the screen.

    Args:
        role: Whose observations come: server, client or simulate.
        mmar: The MMAR's name.
        stream: The terminal.
        console: A rich console in place of one on ``stream``; tests record with it.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        role: str,
        *,
        mmar: str = "",
        stream: TextIO | None = None,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._role = role
        self._mmar = printable(mmar)
        self._clock = clock
        self._started = clock()
        self._view = RunView()
        # Observations come from the event loop, repainting from rich's own thread.
        self._lock = threading.Lock()
        self._console = console or Console(file=stream, highlight=False)
        self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Paint the last state and give the terminal back."""
        self._live.stop()

    def observe(self, observation: Observation) -> None:
        """Fold one observation into the table; some are also kept above it."""
        with self._lock:
            self._view.see(observation)
        if observation.topic in _KEPT and observation.data.get("reason") != RunStatus.FINISHED:
            said = "\n".join([sentence(observation), *further_lines(observation)])
            self._console.print(Text(said, style="dim"))

    def _render(self) -> RenderableType:
        with self._lock:
            return render(
                self._view,
                title=f"{_TITLES[self._role]} {self._mmar}".strip(),
                elapsed=self._clock() - self._started,
            )


def render(view: RunView, *, title: str, elapsed: float) -> RenderableType:
    """Return the whole picture: header, rounds, clients, last metrics, message.

    Args:
        view: The run as it stands.
        title: What is running, for the header.
        elapsed: Seconds since it began.
    """
    parts: list[RenderableType] = [_header(view, title, elapsed), _rounds(view)]
    if view.clients:
        parts.append(_clients(view.clients))
    if metrics := human_metrics(view.metrics):
        parts.append(Text.assemble(("global model  ", "bold"), metrics))
    if view.best:
        parts.append(Text.assemble(("best model    ", "bold"), view.best))
    if view.message:
        parts.append(Text(view.message, style="yellow"))
    return Group(*parts)


def _header(view: RunView, title: str, elapsed: float) -> Text:
    text = Text.assemble((title, "bold"))
    if view.run_number is not None:
        text.append(f"  run {view.run_number}")
    if view.listen:
        text.append(f"  {view.listen}", style="dim")
    text.append(f"  {human_seconds(elapsed)}")
    if view.status:
        style = "green" if view.status == RunStatus.FINISHED else "red"
        text.append(f"  {view.status}", style=style)
    return text


def _rounds(view: RunView) -> RenderableType:
    if view.round is None:
        return Text("no round yet", style="dim")
    total = view.total_rounds
    line = Table.grid(padding=(0, 2))
    label = f"round {view.round}" if total is None else f"{view.rounds_done}/{total} rounds"
    cells: list[RenderableType] = [Text(label, style="bold")]
    if total:
        cells.append(ProgressBar(total=total, completed=view.rounds_done, width=_BAR_WIDTH))
    if view.last_seconds is not None:
        cells.append(Text(f"{human_seconds(view.last_seconds)} a round", style="dim"))
    line.add_row(*cells)
    return line


def _clients(clients: dict[str, ClientRow]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("client")
    table.add_column("state", min_width=12)
    table.add_column("update", justify="right", min_width=10)
    table.add_column("training", justify="right", min_width=8)
    table.add_column("metrics")
    names = sorted(clients, key=_natural)
    for name in names[:_MAX_ROWS]:
        table.add_row(Text(name), *_cells(clients[name]))
    if len(names) > _MAX_ROWS:
        table.add_row(Text(f"and {len(names) - _MAX_ROWS} more", style="dim"))
    return table


def _cells(row: ClientRow) -> tuple[RenderableType, ...]:
    style = _STYLES.get(row.state, "")
    words = f"{_MARKS.get(row.state, '·')} {row.state}{_steps(row)}"
    state = Text(words, style=style)
    last = Text(row.note, style="red") if row.note else Text(human_metrics(row.metrics))
    seconds = "" if row.seconds is None else human_seconds(row.seconds)
    return state, _transfer(row), seconds, last


def _steps(row: ClientRow) -> str:
    if not row.step or row.state is not ClientStatus.TRAINING:
        return ""
    return f" {row.step}/{row.steps}" if row.steps else f" {row.step}"


def _transfer(row: ClientRow) -> str:
    if not row.total_bytes:
        return ""
    if row.done_bytes < row.total_bytes:
        return f"{row.done_bytes / row.total_bytes:.0%} of {human_bytes(row.total_bytes)}"
    return human_bytes(row.total_bytes)


def _natural(name: str) -> tuple[str, int, str]:
    # site-2 before site-10.
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    return stem, int(digits) if digits else -1, name
