# SPDX-License-Identifier: Apache-2.0
"""Drawings of columns and bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.reporting.frame import BOTTOM, LABELS, LEFT, RIGHT, TOP, below, grid
from mmar_runner.reporting.scales import Scale
from mmar_runner.reporting.svg import element, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mmar_runner.reporting.svg import Canvas, Drawing

_ROW: Final = 24.0
_NAME_LETTERS: Final = 14
#: Names of columns that stand side by side without touching.
_MOST_NAMES: Final = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """One column: its rounds, and parts from below: name, number, style."""

    rounds: range
    parts: Sequence[tuple[str, float, int]]

    @property
    def name(self) -> str:
        """Its rounds in words."""
        first, last = self.rounds[0], self.rounds[-1]
        return f"round {first}" if first == last else f"rounds {first} to {last}"


def stacked_chart(canvas: Canvas, title: str, description: str, bars: Sequence[Bar]) -> Drawing:
    """Draw columns of shares: the parts of each add up to one.

    Args:
        canvas: Numbers the drawing.
        title: Its name.
        description: What is seen, in a sentence.
        bars: The columns, at least one, in the order of rounds.
    """
    y = Scale(0.0, 1.0, BOTTOM, TOP)
    width = (RIGHT - LEFT) / len(bars)
    every = -(-len(bars) // _MOST_NAMES)  # labels that do not touch
    pieces: list[str] = [*grid(y, lambda value: f"{value:.0%}")]
    for index, bar in enumerate(bars):
        start = LEFT + index * width
        pieces += _column(bar, start + width * 0.1, width * 0.8, y)
        if index % every == 0:
            label = str(bar.rounds[0])
            pieces.append(element("text", label, class_="x", x=start + width / 2, y=LABELS))
    pieces.append(below("round"))
    return canvas.drawing(title, description, *pieces)


def _column(bar: Bar, left: float, width: float, y: Scale) -> Iterator[str]:
    under = 0.0
    for name, value, style in bar.parts:
        top, bottom = y(under + value), y(under)
        title = element("title", text(f"{name}, {bar.name}: {value:.1%}"))
        yield element(
            "rect",
            title,
            class_=f"part s{style}",
            x=left,
            y=top,
            width=width,
            height=max(0.0, bottom - top - 1),  # a gap, so that neighbours are told apart
        )
        under += value


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
