# SPDX-License-Identifier: Apache-2.0
"""A page as whoever looks at it finds it: parsed, not searched for strings."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "br", "img", "input", "hr"}
#: Attributes that make a browser load something, or run it.
LOADING = {"src", "href", "xlink:href", "srcset", "data", "action", "poster", "background"}


class Page(HTMLParser):
    """A parsed page.

    Attributes:
        elements: Name and attributes of every element, in order.
        text: Everything that is shown, elements of style left out.
        problems: What is not closed, or closed twice.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_bytes().decode()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.problems: list[str] = []
        self._open: list[str] = []
        self._text: list[str] = []
        self.feed(self.source)
        self.close()
        self.problems += self._open

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._text).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if not self._open or self._open[-1] != tag:
            self.problems.append(f"</{tag}> closes {self._open[-1:]}")
        else:
            self._open.pop()

    def handle_data(self, data):
        if "style" not in self._open:
            self._text.append(data)

    def named(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name in names]

    def references(self) -> list[str]:
        return [
            str(value)
            for _, attributes in self.elements
            for key, value in attributes.items()
            if key in LOADING
        ]


def check(page: Page) -> None:
    """Hold a page to what holds for all of them."""
    assert page.problems == []
    assert all(reference.startswith("#") for reference in page.references())
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {reference[1:] for reference in page.references()} <= set(ids)
    assert not page.named("script", "iframe", "object", "embed", "link", "form", "base", "img")
    handlers = [key for _, a in page.elements for key in a if key.startswith("on")]
    assert not handlers
    (policy,) = (a for a in page.named("meta") if "http-equiv" in a)
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    style = page.source.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "http" not in style
    for drawing in page.named("svg"):
        named = drawing.get("aria-labelledby", "").split()
        assert "aria-hidden" in drawing or (set(named) <= set(ids) and len(named) == 2)
    assert len(page.named("table")) == len(page.named("caption"))
    assert len(page.named("h1")) == 1
