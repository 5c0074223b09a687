# SPDX-License-Identifier: Apache-2.0
"""Drawings of lines and bars. Colours and dashes are classes that the page's style gives a look.

A style is a number: 0 is the average, 1 to 8 are sites, told apart by colour, by dash and by
the shape of their marks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.reporting.points import thinned
from mmar_runner.reporting.scales import Scale, rounded_out, short, ticks, widened
from mmar_runner.reporting.svg import Drawing, element, marker, path_of, place, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mmar_runner.reporting.svg import Canvas

#: Styles of sites that can be told apart.
STYLES: Final = 8
FAINT: Final = -1
#: The plot within a drawing.
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 448.0, 14.0, 212.0
_LABELS: Final = 230.0
_NAME: Final = 246.0
_MOST_POINTS: Final = 240
_MOST_FAINT: Final = 60
#: Up to so many rounds, every point has its mark.
_MOST_MARKS: Final = 30
_ROW: Final = 24.0
_NAME_LETTERS: Final = 14


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
class Bar:
    """One column: its name, and parts from below: name, number, style."""

    name: str
    parts: Sequence[tuple[str, float, int]]


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
        lines: The curves; the first ones lie on top. There is at least one point.
        bands: Areas below them.
        mark: A round to be marked.
        say: Writes a number of the vertical axis.
        from_zero: Whether the vertical axis begins at zero; no number is below.
    """
    rounds = [at for line in lines for at, _ in line.points]
    values = [value for line in lines for _, value in line.points]
    values += [edge for band in bands for _, *edges in band.points for edge in edges]
    low, high = rounded_out(*widened(0.0 if from_zero else min(values), max(values)), 4)
    x = _rounds_axis(min(rounds), max(rounds))
    y = Scale(low, high, _BOTTOM, _TOP)
    return canvas.drawing(
        title,
        description,
        *_grid(y, say),
        *_round_labels(x),
        *(_band(band, x, y) for band in bands),
        *_marked(mark, x, y, say),
        *(piece for line in reversed(lines) for piece in _line(line, x, y, say)),
    )


def _rounds_axis(first: int, last: int) -> Scale:
    return Scale(first - 0.5, last + 0.5, _LEFT, _RIGHT)


def _grid(y: Scale, say: Callable[[float], str]) -> Iterator[str]:
    for value in ticks(y.low, y.high, 4):
        at = y(value)
        yield element("path", class_="grid", d=f"M{place(_LEFT)} {place(at)}H{place(_RIGHT)}")
        yield element("text", text(say(value)), class_="y", x=_LEFT - 8, y=at + 4)


def _round_labels(x: Scale) -> Iterator[str]:
    for at in ticks(x.low, x.high, 7, whole=True):
        yield element("text", text(f"{at:.0f}"), class_="x", x=x(at), y=_LABELS)
    yield element("text", "round", class_="x name", x=(_LEFT + _RIGHT) / 2, y=_NAME)


def _band(band: Band, x: Scale, y: Scale) -> str:
    there = [(x(at), y(low)) for at, low, _ in band.points]
    back = [(x(at), y(high)) for at, _, high in reversed(band.points)]
    title = element("title", text(band.name))
    return element("path", title, class_=f"band {band.style}", d=path_of(iter(there + back)) + "Z")


def _line(line: Line, x: Scale, y: Scale, say: Callable[[float], str]) -> Iterator[str]:
    faint = line.style == FAINT
    points = thinned(line.points, _MOST_FAINT if faint else _MOST_POINTS)
    if not points:
        return
    low, high = min(p[1] for p in points), max(p[1] for p in points)
    range_ = say(low) if low == high else f"{say(low)} to {say(high)}"
    title = element("title", text(f"{line.name}: {range_}"))
    css = "line faint" if faint else f"line s{line.style}"
    yield element("path", title, class_=css, d=path_of((x(at), y(v)) for at, v in points))
    if faint and len(points) > 1:
        return
    if len(points) <= _MOST_MARKS:
        yield from (_point(line, at, value, x, y, say) for at, value in points)


def _point(
    line: Line, at: int, value: float, x: Scale, y: Scale, say: Callable[[float], str]
) -> str:
    title = element("title", text(f"{line.name}, round {at}: {say(value)}"))
    css = "mark faint" if line.style == FAINT else f"mark s{line.style}"
    return element("path", title, class_=css, d=marker(max(1, line.style), x(at), y(value)))


def _marked(mark: Mark | None, x: Scale, y: Scale, say: Callable[[float], str]) -> Iterator[str]:
    if mark is None or not x.low <= mark.at <= x.high:
        return
    at = x(mark.at)
    title = element("title", text(mark.words))
    yield element("path", title, class_="best", d=f"M{place(at)} {place(_TOP)}V{place(_BOTTOM)}")
    left = at > (_LEFT + _RIGHT) / 2
    yield element(
        "text",
        "best",
        class_="bestname" + (" left" if left else ""),
        x=at + (-5 if left else 5),
        y=_BOTTOM - 6,
    )
    if mark.value is not None and y.low <= mark.value <= y.high:
        title = element("title", text(f"{mark.words}: {say(mark.value)}"))
        yield element("circle", title, class_="ring", cx=at, cy=y(mark.value), r=7.0)


def stacked_chart(canvas: Canvas, title: str, description: str, bars: Sequence[Bar]) -> Drawing:
    """Draw columns of shares: the parts of each add up to one.

    Args:
        canvas: Numbers the drawing.
        title: Its name.
        description: What is seen, in a sentence.
        bars: The columns, at least one, in the order of rounds.
    """
    y = Scale(0.0, 1.0, _BOTTOM, _TOP)
    width = (_RIGHT - _LEFT) / len(bars)
    every = -(-len(bars) // 8)  # labels that do not touch
    pieces: list[str] = [*_grid(y, lambda value: f"{value:.0%}")]
    for index, bar in enumerate(bars):
        start = _LEFT + index * width
        pieces += _column(bar, start + width * 0.1, width * 0.8, y)
        if index % every == 0:
            label = text(bar.name)
            pieces.append(element("text", label, class_="x", x=start + width / 2, y=_LABELS))
    pieces.append(element("text", "round", class_="x name", x=(_LEFT + _RIGHT) / 2, y=_NAME))
    return canvas.drawing(title, description, *pieces)


def _column(bar: Bar, left: float, width: float, y: Scale) -> Iterator[str]:
    below = 0.0
    for name, value, style in bar.parts:
        top, bottom = y(below + value), y(below)
        title = element("title", text(f"{name}, round {bar.name}: {value:.1%}"))
        yield element(
            "rect",
            title,
            class_=f"part s{style}",
            x=left,
            y=top,
            width=width,
            height=max(0.0, bottom - top - 1),  # a gap, so that neighbours are told apart
        )
        below += value


def ranked_chart(
    canvas: Canvas,
    title: str,
    description: str,
    rows: Iterable[tuple[str, float]],
    say: Callable[[float], str],
) -> Drawing:
    """Draw one bar below the other, with names above them and numbers at their ends.

    Args:
        canvas: Numbers the drawing.
        title: Its name.
        description: What is seen, in a sentence.
        rows: Name and number, none negative, in the order in which they are drawn.
        say: Writes a number.
    """
    known = list(rows)
    most = max((value for _, value in known), default=0.0) or 1.0
    x = Scale(0.0, most, 116.0, 246.0)
    pieces = []
    for index, (name, value) in enumerate(known):
        top = 6 + index * _ROW
        whole = element("title", text(f"{name}: {say(value)}"))
        cut = name if len(name) <= _NAME_LETTERS else f"{name[: _NAME_LETTERS - 1]}…"
        pieces += [
            element("text", whole, text(cut), class_="y", x=108.0, y=top + 12),
            element(
                "rect",
                whole,
                class_="part s1",
                x=116.0,
                y=top + 1,
                width=max(1.0, x(value) - 116.0),
                height=_ROW - 8,
            ),
            element("text", text(say(value)), class_="value", x=x(value) + 6, y=top + 12),
        ]
    size = (330.0, 12 + len(known) * _ROW)
    return canvas.drawing(title, description, *pieces, css="chart ranked", size=size)


def swatch(style: int | str) -> Drawing:
    """Draw what a style looks like, for a legend."""
    if isinstance(style, str):
        inside = element("rect", class_=f"band {style}", x=1, y=3, width=26, height=10)
    elif style == FAINT:
        inside = element("path", class_="line faint", d="M1 8H27")
    else:
        inside = element("path", class_=f"line s{style}", d="M1 8H27")
        inside += element("path", class_=f"mark s{style}", d=marker(max(1, style), 14.0, 8.0))
    return Drawing(element("svg", inside, class_="swatch", aria_hidden="true", viewBox="0 0 28 16"))
