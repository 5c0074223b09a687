# SPDX-License-Identifier: Apache-2.0
"""The metrics of a run as drawings: the average, and what every site measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import counted
from mmar_runner.reporting.charts import Band, Line, Mark, line_chart
from mmar_runner.reporting.frame import FAINT, STYLES, swatch
from mmar_runner.reporting.points import Points, quantile, stretches
from mmar_runner.reporting.scales import short
from mmar_runner.reporting.tables import natural

if TYPE_CHECKING:
    from mmar_runner.reporting.history import History, Site
    from mmar_runner.reporting.svg import Canvas, Drawing

#: Sites up to which each has a line, and metrics that are drawn.
_MOST_LINES: Final = 40
MOST_CHARTS: Final = 24
_MOST_STRETCHES: Final = 120
Pick = Callable[["Site"], Points | None]


@dataclass(frozen=True, slots=True)
class Legend:
    """What a style means."""

    swatch: Drawing
    name: str


@dataclass(frozen=True, slots=True)
class Card:
    """One drawing with what is said below it, and, if it has one of its own, its legend."""

    title: str
    drawing: Drawing
    caption: str
    legend: tuple[Legend, ...] = ()


def metric_names(history: History) -> list[str]:
    """Return all metrics: the one that chose the best model first, then those of validation."""
    names = {name for one in history.rounds for name in one.metrics}
    names |= {name for site in history.sites.values() for name in site.metrics}
    first = deciding_metric(history)
    return sorted(names, key=lambda name: (name != first, not name.startswith("val"), name))


def deciding_metric(history: History) -> str | None:
    """Return the metric whose average was the best model's score; None if none was."""
    best = history.best
    if best is None or best.scored_in is None:
        return None
    scored = (one for one in reversed(history.rounds) if one.number == best.scored_in)
    metrics = next(scored, None)
    if metrics is None:
        return None
    equal = [name for name, value in metrics.metrics.items() if value == best.score]
    return min(equal, key=lambda name: (not name.startswith("val"), name), default=None)


def styles_of(history: History) -> dict[str, int]:
    """Return the style of every site, if there are so few that each has its own."""
    names = sorted((n for n, site in history.sites.items() if site.samples), key=natural)
    return {n: at for at, n in enumerate(names, 1)} if len(names) <= STYLES else {}


def metric_legend(history: History) -> list[Legend]:
    """Return what the lines of all metrics mean."""
    measured = sum(1 for site in history.sites.values() if site.metrics)
    average = Legend(swatch(0), "averaged, by samples")
    if not measured:
        return [average]
    if styles := styles_of(history):
        return [average, *(Legend(swatch(style), name) for name, style in styles.items())]
    if measured <= _MOST_LINES:
        return [average, Legend(swatch(FAINT), f"each of {counted(measured, 'site')}")]
    return [
        average,
        Legend(swatch("half"), f"half of {counted(measured, 'site')}"),
        Legend(swatch("all"), "all of them"),
    ]


def metric_card(canvas: Canvas, history: History, name: str) -> Card | None:
    """Draw one metric; None if no round has it."""
    averaged = [(one.number, one.metrics[name]) for one in history.rounds if name in one.metrics]
    lines = [Line("averaged", averaged, 0)] if averaged else []
    sites, bands = by_site(history, lambda site: site.metrics.get(name))
    if not lines and not sites and not bands:
        return None
    what = _described(averaged, history)
    title = f"{name} by round"
    drawing = line_chart(
        canvas, title, what, [*lines, *sites], bands=bands, mark=_best(history, name)
    )
    return Card(name, drawing, what)


def by_site(history: History, pick: Pick) -> tuple[list[Line], list[Band]]:
    """Return a line for every site, or, if there are too many, areas in which they lie."""
    found = [
        (site.name, points)
        for site in history.sites.values()
        if (points := pick(site)) is not None and points.numbers
    ]
    styles = styles_of(history)
    found.sort(key=lambda one: natural(one[0]))
    if len(found) <= _MOST_LINES:
        return [Line(name, list(points), styles.get(name, FAINT)) for name, points in found], []
    return [], _bands([points for _, points in found])


def _bands(every: list[Points]) -> list[Band]:
    first = min(points.rounds[0] for points in every)
    last = max(points.rounds[-1] for points in every)
    parts = stretches(first, last, _MOST_STRETCHES)
    size = len(parts[0])
    within: list[list[float]] = [[] for _ in parts]
    for points in every:
        for at, value in points:
            if first <= at <= last:  # always, unless a file was made up
                within[(at - first) // size].append(value)
    filled = [(part[len(part) // 2], sorted(v)) for part, v in zip(parts, within, strict=True) if v]
    outer = [(float(at), v[0], v[-1]) for at, v in filled]
    inner = [(float(at), quantile(v, 0.25), quantile(v, 0.75)) for at, v in filled]
    return [Band("all sites", outer, "all"), Band("half of the sites", inner, "half")]


def _best(history: History, name: str) -> Mark | None:
    best = history.best
    if best is None:
        return None
    at = best.round if best.scored_in is None else best.scored_in
    value = best.score if name == deciding_metric(history) else None
    words = f"best model: the result of round {best.round}"
    if at != best.round:
        words += f", measured in round {at}"
    return Mark(at, words, value)


def _described(averaged: list[tuple[int, float]], history: History) -> str:
    if not averaged:
        return "No average of it is on record."
    (first, begin), (last, end) = averaged[0], averaged[-1]
    if first == last:
        return f"Averaged {short(begin)} in round {first}."
    values = [value for _, value in averaged]
    every = "" if len(averaged) == len(history.rounds) else f" in {len(averaged)} rounds"
    return (
        f"Averaged{every} from {short(begin)} in round {first} to {short(end)} in round {last}; "
        f"lowest {short(min(values))}, highest {short(max(values))}."
    )
