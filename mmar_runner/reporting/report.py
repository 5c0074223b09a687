# SPDX-License-Identifier: Apache-2.0
"""A run's folder as one page that needs nothing else: no network, no scripts, no other file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mmar_runner import __version__
from mmar_runner.errors import DiskFullError, StorageError
from mmar_runner.reporting import contributions, curves, incidents, overview
from mmar_runner.reporting.cross_site import read_matrices
from mmar_runner.reporting.locating import find_run
from mmar_runner.reporting.reading import read_history, read_object
from mmar_runner.reporting.rendering import render, require_templates
from mmar_runner.reporting.settings import read_settings
from mmar_runner.reporting.svg import Canvas
from mmar_runner.reporting.tables import time_text
from mmar_runner.reporting.trust import read_trust
from mmar_runner.storage.atomic import write_bytes_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.reporting.history import History
    from mmar_runner.reporting.settings import Settings

#: The page's name, unless another is asked for.
NAME: Final = "report.html"


@dataclass(frozen=True, slots=True)
class Report:
    """A page that was written.

    Attributes:
        path: The page.
        run: The run's folder.
        run_number: Its number; 0 if that is not on record.
        status: How it stands: a word of `RunStatus`.
        rounds: How many rounds are finished.
        sites: How many sites had an update that counts.
        bytes: The page's size.
        notes: Sentences about what could not be read or shown.
    """

    path: Path
    run: Path
    run_number: int
    status: str
    rounds: int
    sites: int
    bytes: int
    notes: tuple[str, ...]


def write_report(folder: Path, out: Path | None = None) -> Report:
    """Write the page of a run.

    Args:
        folder: A run's folder, or a server's workspace: then its last run is meant.
        out: The page; None for ``report.html`` in the run's folder.

    Raises:
        ReportError: NOT_A_RUN, or REPORT_NEEDS_JINJA2.
        StorageError: The page cannot be written.
    """
    require_templates()
    run = find_run(folder.absolute())
    notes: list[str] = []
    history = read_history(run, notes)
    data = render(_page(run, history, notes)).encode()
    path = run / NAME if out is None else out
    _write(path, data)
    return Report(
        path=path,
        run=run,
        run_number=history.run_number,
        status=history.status,
        rounds=len(history.rounds),
        sites=overview.contributors(history),
        bytes=len(data),
        notes=tuple(notes),
    )


def _write(path: Path, data: bytes) -> None:
    try:
        write_bytes_atomic(path, data)
    except DiskFullError:
        raise
    except StorageError as error:
        raise StorageError(error.message, hint="--out FILE writes the page elsewhere") from error


def _page(run: Path, history: History, notes: list[str]) -> dict[str, Any]:
    """Return what the template is told; the notes last, as everything adds to them."""
    canvas = Canvas()
    status = read_object(run / "status.json", notes) or {}
    settings = read_settings(run, history, notes)
    trust = read_trust(run, history, notes)
    history.mmar = history.mmar or "a run"
    return {
        "history": history,
        "trust": trust,
        "settings": settings,
        "lead": overview.lead(history, _waiting(status)),
        "facts": list(overview.facts(history, trust)),
        "figures": list(overview.figures(history, _num_rounds(status, settings))),
        **_metrics(canvas, history, notes),
        "sites": contributions.sites_table(history) if history.sites else None,
        "measured": contributions.measured_table(history),
        "weights": contributions.weights_card(canvas, history),
        "took": contributions.rounds_card(canvas, history),
        "ranked": contributions.ranked_cards(canvas, history),
        "incidents": list(incidents.incident_tables(history)),
        "matrices": read_matrices(run, notes),
        "trust_tables": list(incidents.trust_tables(history, trust)),
        "rounds": list(incidents.round_tables(history)),
        "logs": _logs(run),
        "made": time_text(time.time()),
        "version": __version__,
        "notes": notes,
    }


def _metrics(canvas: Canvas, history: History, notes: list[str]) -> dict[str, Any]:
    names = curves.metric_names(history)
    if len(names) > curves.MOST_CHARTS:
        notes.append(f"of {len(names)} metrics, {curves.MOST_CHARTS} are drawn")
    drawn = (curves.metric_card(canvas, history, name) for name in names[: curves.MOST_CHARTS])
    return {
        "metrics": [card for card in drawn if card is not None],
        "metric_legend": curves.metric_legend(history),
    }


def _waiting(status: dict[str, Any]) -> str:
    waiting = status.get("waiting_for")
    return waiting if isinstance(waiting, str) else ""


def _num_rounds(status: dict[str, Any], settings: Settings) -> int | None:
    """Return the round to stop at: a simulation may have been told another than the MMAR says."""
    told = status.get("num_rounds")
    found = told if type(told) is int else settings.num_rounds
    return found if found is not None and found >= 0 else None


def _logs(run: Path) -> list[str]:
    try:
        return sorted(path.name for path in (run / "logs").iterdir() if path.stat().st_size)
    except OSError:
        return []
