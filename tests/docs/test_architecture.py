# SPDX-License-Identifier: Apache-2.0
"""The picture and the tables of ``docs/architecture.md`` are held to the code's own imports."""

from __future__ import annotations

import re
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = "mmar_runner"
#: Where a path that the page names may begin.
ROOTS = (
    ROOT,
    *(
        ROOT / PACKAGE / room
        for room in ("", "admin", "security", "server", "client", "mmar", "cli")
    ),
)


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)


def arrows(graph) -> set[tuple[str, str]]:
    """Which room imports which: (importer, imported)."""
    found = set()
    for module in graph.modules - {PACKAGE}:
        for imported in graph.find_modules_directly_imported_by(module) - {PACKAGE}:
            found.add((module.split(".")[1], imported.split(".")[1]))
    return {(one, other) for one, other in found if one != other}


def reached(start: str, among: set[tuple[str, str]]) -> set[str]:
    seen, open_ends = set(), [start]
    while open_ends:
        here = open_ends.pop()
        for one, other in among:
            if one == here and other not in seen:
                seen.add(other)
                open_ends.append(other)
    return seen


def drawn() -> set[tuple[str, str]]:
    """The arrows of the picture."""
    picture = PAGE.read_text().split("```mermaid")[1].split("```")[0]
    return {
        (one, other.strip())
        for one, others in re.findall(r"^\s*(\w+) --> ([\w &]+)$", picture, re.MULTILINE)
        for other in others.split("&")
    }


def test_the_picture_has_every_import_between_rooms_that_no_longer_way_implies(graph):
    real = arrows(graph)
    needed = {
        (one, other) for one, other in real if other not in reached(one, real - {(one, other)})
    }
    assert drawn() == needed


def test_the_table_has_every_room_and_no_other(graph):
    text = PAGE.read_text()
    rooms = {name.split(".")[1] for name in graph.find_children(PACKAGE)} - {"__main__"}
    table = text.split("| room | does |")[1].split("\n\n")[0]
    assert {
        name.removesuffix("/").removesuffix(".py")
        for name in re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    } == rooms


@pytest.mark.parametrize("room", ["admin", "cli", "server", "client", "mmar", "security"])
def test_the_table_of_a_divided_room_has_every_room_in_it(room):
    table = PAGE.read_text().split(f"| room in `{room}/` | holds |")[1].split("\n\n")[0]
    named = set(
        re.findall(
            r"`(\w+)/`", "\n".join(row.split("|")[1] for row in table.splitlines() if "|" in row)
        )
    )
    folders = {path.parent.name for path in (ROOT / PACKAGE / room).glob("*/__init__.py")}
    assert named == folders


def paths():
    text = PAGE.read_text()
    named = set(re.findall(r"`([\w/]+(?:\.\w+|/))`", text))
    return sorted(name for name in named if "/" in name)


@pytest.mark.parametrize("path", paths())
def test_every_file_and_folder_that_is_named_is_there(path):
    assert any((root / path).exists() for root in ROOTS)
