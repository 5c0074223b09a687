# SPDX-License-Identifier: Apache-2.0
"""What every site gave: samples, weight, time and bytes, as tables and drawings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import counted
from mmar_runner.reporting.bars import Bar, ranked_chart, stacked_chart
from mmar_runner.reporting.charts import Line, line_chart
from mmar_runner.reporting.curves import Card, Legend, metric_names
from mmar_runner.reporting.frame import STYLES, swatch
from mmar_runner.reporting.points import stretches
from mmar_runner.reporting.tables import (
    Table,
    bytes_text,
    count_text,
    natural,
    number_text,
    seconds_text,
    share_text,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.reporting.history import History, Site
    from mmar_runner.reporting.points import Points
    from mmar_runner.reporting.svg import Canvas

_MOST_BARS: Final = 40
_MOST_RANKED: Final = 9
_MOST_METRICS: Final = 8
_OTHERS: Final = STYLES


def active(history: History) -> list[Site]:
    """Return the sites of which something is on record, by name."""
    return sorted(history.sites.values(), key=lambda site: natural(site.name))


def sites_table(history: History) -> Table:
    """Return one row for every site."""
    every = sum(site.weights.total for site in history.sites.values())
    columns = [
        ("Site", "t"),
        ("Rounds", "n"),
        ("Samples a round", "n"),
        ("Share of the weight", "n"),
        ("Sent", "n"),
        ("On its way", "n"),
        ("Lost by a codec", "n"),
        ("Training a round", "n"),
        ("Upload a round", "n"),
        ("Did not count", "n"),
    ]
    behind = any(site.stale.total for site in history.sites.values())
    if behind:  # nobody waited for others, and models grew old while somebody trained
        columns += [("Versions behind", "n"), ("Most versions behind", "n")]
    rows = [
        (
            site.name,
            f"{len(site.weights)} of {len(history.rounds)}",
            count_text(site.samples.middle),
            share_text(site.weights.total / every if every else None),
            bytes_text(site.bytes.total),
            bytes_text(site.wire.total),
            number_text(site.lost.middle),
            seconds_text(site.train.middle),
            seconds_text(site.upload.middle),
            count_text(site.refused),
            *(_behind(site) if behind else ()),
        )
        for site in active(history)
    ]
    caption = "Every site's part; what is said of a round is the median of its rounds"
    return table(caption, columns, rows, folded=len(rows) > _MOST_BARS)


def _behind(site: Site) -> tuple[str, str]:
    """Say how much older than their rounds' the models were that a site trained."""
    most = max(site.stale.numbers, default=None)
    return count_text(site.stale.middle), count_text(most)


def measured_table(history: History) -> Table | None:
    """Return what every site measured last; None if no site measured anything."""
    sites = [site for site in active(history) if site.metrics]
    known = {name for site in sites for name in site.metrics}
    names = [name for name in metric_names(history) if name in known][:_MOST_METRICS]
    if not names:
        return None
    rows = [
        (site.name, *(number_text(_last(site.metrics.get(name))) for name in names))
        for site in sites
    ]
    columns = [("Site", "t"), *((name, "n") for name in names)]
    return table("What every site measured last", columns, rows)


def _last(points: Points | None) -> float | None:
    return None if points is None else points.last


def weights_card(canvas: Canvas, history: History) -> Card | None:
    """Draw whose weight made up the models; None if nobody had one."""
    heavy = [site for site in active(history) if site.weights.total > 0]
    if not heavy or not history.rounds:
        return None
    shown, others = heavy, 0
    if len(heavy) > STYLES:
        most = sorted(heavy, key=lambda site: -site.weights.total)[: STYLES - 1]
        shown, others = [site for site in heavy if site in most], len(heavy) - len(most)
    bars, size = _bars(history, shown, others=bool(others))
    each = "" if size == 1 else f" Each column is {size} rounds together."
    what = f"Shares of {counted(len(heavy), 'site')} in the weight of every round.{each}"
    legend = [Legend(swatch(style), site.name) for style, site in enumerate(shown, 1)]
    if others:
        legend.append(Legend(swatch(_OTHERS), f"the other {counted(others, 'site')}"))
    drawing = stacked_chart(canvas, "Weight by site and round", what, bars)
    return Card("Weight in the model", drawing, what, tuple(legend))


def _bars(history: History, shown: list[Site], *, others: bool) -> tuple[list[Bar], int]:
    numbers = [one.number for one in history.rounds]
    parts = stretches(min(numbers), max(numbers), _MOST_BARS)
    totals = _sums(parts, list(history.sites.values()))
    each = [_sums(parts, [site]) for site in shown]
    bars = []
    for at, part in enumerate(parts):
        total = totals[at]
        shares = [
            (site.name, sums[at] / total if total else 0.0)
            for site, sums in zip(shown, each, strict=True)
        ]
        pieces = [(name, share, style) for style, (name, share) in enumerate(shares, 1)]
        if others and total:
            rest = max(0.0, 1.0 - sum(share for _, share in shares))
            pieces.append(("the others", rest, _OTHERS))
        bars.append(Bar(part, pieces))
    return bars, len(parts[0])


def _sums(parts: list[range], sites: list[Site]) -> list[float]:
    first, last, size = parts[0][0], parts[-1][-1], len(parts[0])
    sums = [0.0] * len(parts)
    for site in sites:
        for at, value in site.weights:
            if first <= at <= last and value > 0:
                sums[(at - first) // size] += value
    return sums


def ranked_cards(canvas: Canvas, history: History) -> list[Card]:
    """Draw who trained and uploaded for how long, and who sent how much."""
    cards = [
        _ranked(canvas, history, "Training", lambda s: s.train.middle, seconds_text),
        _ranked(canvas, history, "Upload", lambda s: s.upload.middle, seconds_text),
        _ranked(canvas, history, "Sent in all", lambda s: s.bytes.total, bytes_text),
    ]
    return [card for card in cards if card is not None]


def rounds_card(canvas: Canvas, history: History) -> Card | None:
    """Draw how long every round took; None if no round is finished."""
    whole = [(one.number, one.seconds) for one in history.rounds if one.seconds >= 0]
    if not whole:
        return None
    slowest: dict[int, float] = {}
    for site in history.sites.values():
        for at, value in site.train:
            slowest[at] = max(value, slowest.get(at, 0.0))
    lines = [Line("the whole round", whole, 0)]
    if slowest:
        lines.append(Line("the slowest training in it", sorted(slowest.items()), 2))
    legend = tuple(Legend(swatch(line.style), line.name) for line in lines)
    total = sum(value for _, value in whole)
    trained = sum(value for at, value in slowest.items())
    what = f"All rounds together took {seconds_text(total)}"
    what += f", of which the slowest training took {seconds_text(trained)}." if slowest else "."
    drawing = line_chart(
        canvas, "Seconds of every round", what, lines, say=seconds_text, from_zero=True
    )
    return Card("Time of a round", drawing, what, legend)


def _ranked(
    canvas: Canvas,
    history: History,
    title: str,
    pick: Callable[[Site], float | None],
    say: Callable[[float | None], str],
) -> Card | None:
    known = [(site.name, value) for site in active(history) if (value := pick(site)) is not None]
    known = [(name, value) for name, value in known if value >= 0]
    if not known or max(value for _, value in known) <= 0:
        return None
    known.sort(key=lambda one: -one[1])
    cut = len(known) > _MOST_RANKED
    what = "by site, the median of its rounds" if title in {"Training", "Upload"} else "by site"
    if cut:
        what += f"; the {_MOST_RANKED} with the most of {counted(len(known), 'site')}"
    drawing = ranked_chart(canvas, f"{title} {what}", what, known[:_MOST_RANKED], say)
    return Card(title, drawing, f"{what[0].upper()}{what[1:]}.")
