# SPDX-License-Identifier: Apache-2.0
"""Elements of a drawing as text: whatever a run says is escaped where it enters."""

from __future__ import annotations

from html import escape
from itertools import count
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Width and height of a drawing, unless it says otherwise; its units are pixels at about that size.
_SIZE: Final = (460.0, 250.0)
#: Letters of one text.
_MOST: Final = 300
_HALF: Final = 3.5  # of a marker, from its middle
_MARKERS: Final = (
    "M{x} {y}m-{r} 0a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0z",  # circle
    "M{x} {y}m-{r} -{r}h{d}v{d}h-{d}z",  # square
    "M{x} {y}m0 -{r}l{r} {d}h-{d}z",  # triangle
    "M{x} {y}m0 -{r}l{r} {r}l-{r} {r}l-{r} -{r}z",  # diamond
    "M{x} {y}m-{r} -{r}h{d}l-{r} {d}z",  # triangle on its head
    "M{x} {y}m-{r} -{r}l{d} {d}m0 -{d}l-{d} {d}",  # cross
    "M{x} {y}m-{r} 0h{d}m-{r} -{r}v{d}",  # plus
    "M{x} {y}m-{r} -1h{d}v2h-{d}z",  # bar
)


class Drawing(str):
    """Markup that is complete: a template writes it as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return itself."""
        return str(self)


def shown(value: object) -> str:
    """Return a text as one short line that obeys nobody; not escaped for markup yet."""
    text = value if isinstance(value, str) else str(value)
    line = printable(text[: _MOST + 1])
    return line if len(line) <= _MOST else f"{line[: _MOST - 3]}..."


def text(value: object) -> str:
    """Return a text as the content of an element."""
    return escape(shown(value))


def element(name: str, *children: str, **attributes: object) -> str:
    """Return an element.

    Args:
        name: The element's.
        children: Markup, or what `text` gave.
        attributes: An underscore stands for a hyphen, and one at the end for nothing; None
            leaves an attribute out, and a float is written with one place.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_attribute(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(children)}</{name}>"


def _attribute(value: object) -> str:
    return place(value) if isinstance(value, float) else str(value)


def place(value: float) -> str:
    """Return a coordinate."""
    return f"{value:.1f}".removesuffix(".0")


def path_of(points: Iterator[tuple[float, float]]) -> str:
    """Return the path along some points."""
    return "M" + "L".join(f"{place(x)} {place(y)}" for x, y in points)


def marker(style: int, x: float, y: float) -> str:
    """Return the path of a marker; a style from 1 on has one of its own, as far as they reach."""
    shape = _MARKERS[(style - 1) % len(_MARKERS)]
    return shape.format(x=place(x), y=place(y), r=place(_HALF), d=place(2 * _HALF))


class Canvas:
    """Numbers its drawings, so that a title is found by the drawing that it belongs to."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def drawing(
        self,
        title: str,
        description: str,
        *children: str,
        css: str = "chart",
        size: tuple[float, float] = _SIZE,
    ) -> Drawing:
        """Return a whole drawing with a name and a description for who cannot see it."""
        number = next(self._numbers)
        names = (f"t{number}", f"d{number}")
        return Drawing(
            element(
                "svg",
                element("title", text(title), id=names[0]),
                element("desc", text(description), id=names[1]),
                *children,
                class_=css,
                role="img",
                aria_labelledby=" ".join(names),
                viewBox=f"0 0 {place(size[0])} {place(size[1])}",
            )
        )
