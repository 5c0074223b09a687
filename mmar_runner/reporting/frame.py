# SPDX-License-Identifier: Apache-2.0
"""What drawings share: where the plot lies in them, its grid, and how styles look in a legend.

Colours and dashes are classes that the page's style gives a look. A style is a number: 0 is the
average, 1 to 8 are sites, told apart by colour, by dash and by the shape of their marks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.reporting.scales import ticks
from mmar_runner.reporting.svg import Drawing, element, marker, place, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mmar_runner.reporting.scales import Scale

#: Styles of sites that can be told apart.
STYLES: Final = 8
FAINT: Final = -1
#: The plot within a drawing, and where what stands below it begins.
LEFT, RIGHT, TOP, BOTTOM = 58.0, 448.0, 14.0, 212.0
LABELS: Final = 230.0
_NAME: Final = 246.0


def grid(y: Scale, say: Callable[[float], str]) -> Iterator[str]:
    """Yield lines across the plot, and the numbers that they stand for."""
    for value in ticks(y.low, y.high, 4):
        at = y(value)
        yield element("path", class_="grid", d=f"M{place(LEFT)} {place(at)}H{place(RIGHT)}")
        yield element("text", text(say(value)), class_="y", x=LEFT - 8, y=at + 4)


def below(label: str) -> str:
    """Return the name of the axis below the plot."""
    return element("text", text(label), class_="x", x=(LEFT + RIGHT) / 2, y=_NAME)


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
