# SPDX-License-Identifier: Apache-2.0
"""A page of Markdown about components: what they are, what they take, what they state."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from mmar_runner.cli.views.argument_words import argument_rows, facts, unnamed_arguments
from mmar_runner.interfaces.catalog import ComponentKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mmar_runner.interfaces.catalog import ComponentDescription

_HEAD: Final = """# Components

Every component that is installed, by kind, as its plugin registers it: with the bundled plugins
alone, `mmar-runner plugins reference` prints this page. What the facts mean is said in
[plugins](plugins.md); `mmar-runner plugins show NAME` shows one component."""
_HEADINGS: Final = {
    ComponentKind.CLIENT_TRAINER: "Client trainers",
    ComponentKind.ADMIN_CMD_MODULE: "Command modules for administrators",
    ComponentKind.LOSS: "Losses",
    ComponentKind.LR_SCHEDULER: "Learning-rate schedulers",
    ComponentKind.DATASET: "Data sets",
    ComponentKind.DATALOADER: "Data loaders",
}
_TABLES: Final = """## Parts that stand in tables

Classes of a framework that can be named as they are; `mmar-runner plugins show NAME` shows the
arguments of one, and which of its older arguments are brought up to date."""


def component_page(
    found: Sequence[ComponentDescription], tabled: Sequence[ComponentDescription] = ()
) -> str:
    """Return the page about components, kind after kind.

    Args:
        found: What is registered one by one, which is shown with its arguments.
        tabled: What stands in tables, of which the names are shown.
    """
    order = list(ComponentKind)
    ranked = sorted(found, key=lambda one: (order.index(one.kind), one.name))
    parts = [_HEAD]
    for kind, members in groupby(ranked, key=lambda one: one.kind):
        parts += [f"## {_heading(kind)}", *("\n".join(_section(one)) for one in members)]
    parts += [_TABLES] if tabled else []
    for kind, members in groupby(tabled, key=lambda one: one.kind):
        parts += [f"### {_heading(kind)} by name", _named(list(members))]
    return "\n\n".join(parts)


def _named(members: Sequence[ComponentDescription]) -> str:
    names = ", ".join(f"`{one.name}`" for one in members)
    return f"From `{members[0].distribution}`: {names}."


def _heading(kind: ComponentKind) -> str:
    words = kind.value.replace("_", " ")
    return _HEADINGS.get(kind, f"{words[:1].upper()}{words[1:]}s")


def _section(one: ComponentDescription) -> Iterator[str]:
    yield f"### {one.name}"
    yield ""
    yield f"{one.summary} From `{one.distribution}`."
    stated = [f"- {label}: {_cell(words)}" for label, words in facts(one)]
    if one.aliases:
        stated.append(f"- Also known as: {', '.join(f'`{alias}`' for alias in one.aliases)}")
    if stated:
        yield ""
        yield from stated
    yield ""
    rows = argument_rows(one.args_schema)
    if not rows:
        yield f"Arguments: {unnamed_arguments(one.args_schema)}."
        return
    yield "| argument | type | default | |"
    yield "|---|---|---|---|"
    for name, kind, default, description in rows:
        yield f"| `{name}` | {_cell(kind)} | {_cell(default)} | {_cell(description)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
