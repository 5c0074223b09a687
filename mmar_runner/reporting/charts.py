# SPDX-License-Identifier: Apache-2.0
"""Drawings of curves by round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.reporting.frame import BOTTOM, FAINT, LABELS, LEFT, RIGHT, TOP, below, grid
from mmar_runner.reporting.points import thinned
from mmar_runner.reporting.scales import Scale, rounded_out, short, ticks, widened
from mmar_runner.reporting.svg import element, marker, path_of, place, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mmar_runner.reporting.svg import Canvas, Drawing

_MOST_POINTS: Final = 240
_MOST_FAINT: Final = 60
#: Up to so many rounds, every point has its mark.
_MOST_MARKS: Final = 30


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: numbers by round, in the order of rounds; `style` may be `FAINT`."""

    name: str
    points: Sequence[tuple[int, float]]
    style: int


@dataclass(frozen=True, slots=True)
class Band:
    """An area between two curves, by round: low and high."""

    name: str
    points: Sequence[tuple[float, float, float]]
    style: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A round that is marked, and the number there if there is one."""

    at: int
    words: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class _Axes:
    """Rounds, numbers, and how a number is written."""

    x: Scale
    y: Scale
    say: Callable[[float], str]


def line_chart(
    canvas: Canvas,
    title: str,
    description: str,
    lines: Sequence[Line],
    *,
    bands: Sequence[Band] = (),
    mark: Mark | None = None,
    say: Callable[[float], str] = short,
    from_zero: bool = False,
) -> Drawing:
    """Draw curves by round.

    Args:
        canvas: Numbers the drawing.
        title: Its name.
        description: What is seen, in a sentence.
        lines: The curves; the first ones lie on top. With the bands there is at least one point.
        bands: Areas below them.
        mark: A round to be marked.
        say: Writes a number of the vertical axis.
        from_zero: Whether the vertical axis begins at zero; no number is below.
    """
    rounds = [at for line in lines for at, _ in line.points]
    rounds += [int(at) for band in bands for at, _, _ in band.points]
    values = [value for line in lines for _, value in line.points]
    values += [edge for band in bands for _, *edges in band.points for edge in edges]
    low, high = rounded_out(*widened(0.0 if from_zero else min(values), max(values)), 4)
    x = Scale(min(rounds) - 0.5, max(rounds) + 0.5, LEFT, RIGHT)
    axes = _Axes(x, Scale(low, high, BOTTOM, TOP), say)
    return canvas.drawing(
        title,
        description,
        *grid(axes.y, say),
        *_round_labels(x),
        *(_band(band, axes) for band in bands),
        *_marked(mark, axes),
        *(piece for line in reversed(lines) for piece in _line(line, axes)),
    )


def _round_labels(x: Scale) -> Iterator[str]:
    for at in ticks(x.low, x.high, 7, whole=True):
        yield element("text", text(f"{at:.0f}"), class_="x", x=x(at), y=LABELS)
    yield below("round")


def _band(band: Band, axes: _Axes) -> str:
    there = [(axes.x(at), axes.y(low)) for at, low, _ in band.points]
    back = [(axes.x(at), axes.y(high)) for at, _, high in reversed(band.points)]
    title = element("title", text(band.name))
    return element("path", title, class_=f"band {band.style}", d=path_of(iter(there + back)) + "Z")


def _line(line: Line, axes: _Axes) -> Iterator[str]:
    faint = line.style == FAINT
    points = thinned(line.points, _MOST_FAINT if faint else _MOST_POINTS)
    if not points:
        return
    low, high = min(p[1] for p in points), max(p[1] for p in points)
    range_ = axes.say(low) if low == high else f"{axes.say(low)} to {axes.say(high)}"
    title = element("title", text(f"{line.name}: {range_}"))
    css = "line faint" if faint else f"line s{line.style}"
    yield element("path", title, class_=css, d=path_of((axes.x(at), axes.y(v)) for at, v in points))
    if faint and len(points) > 1:
        return
    if len(points) <= _MOST_MARKS:
        yield from (_point(line, at, value, axes) for at, value in points)


def _point(line: Line, at: int, value: float, axes: _Axes) -> str:
    title = element("title", text(f"{line.name}, round {at}: {axes.say(value)}"))
    css = "mark faint" if line.style == FAINT else f"mark s{line.style}"
    return element(
        "path", title, class_=css, d=marker(max(1, line.style), axes.x(at), axes.y(value))
    )


def _marked(mark: Mark | None, axes: _Axes) -> Iterator[str]:
    if mark is None or not axes.x.low <= mark.at <= axes.x.high:
        return
    at = axes.x(mark.at)
    title = element("title", text(mark.words))
    yield element("path", title, class_="best", d=f"M{place(at)} {place(TOP)}V{place(BOTTOM)}")
    left = at > (LEFT + RIGHT) / 2
    yield element(
        "text",
        "best",
        class_="bestname" + (" left" if left else ""),
        x=at + (-5 if left else 5),
        y=BOTTOM - 6,
    )
    if mark.value is not None and axes.y.low <= mark.value <= axes.y.high:
        title = element("title", text(f"{mark.words}: {axes.say(mark.value)}"))
        yield element("circle", title, class_="ring", cx=at, cy=axes.y(mark.value), r=7.0)
