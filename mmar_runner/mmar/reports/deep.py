# SPDX-License-Identifier: Apache-2.0
"""What a deep check found out beside findings: sizes, and what a dry run measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mmar_runner.documents.words import counted, human_bytes, human_seconds

#: Between two columns.
_GAP: Final = "  "


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """How large a network, or a model file of it, is.

    Attributes:
        tensors: How many there are.
        elements: Numbers in them.
        bytes: What these take.
    """

    tensors: int
    elements: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that was estimated, measured, or both.

    Attributes:
        what: Its stable name, such as ``model_down``.
        words: What it is, for people.
        unit: ``bytes`` or ``seconds``.
        estimate: Before anything ran; None if it cannot be known.
        measured: In the dry run; None without one, or if that does not tell.
        parts: What the estimate is the sum of, in the same unit.
        note: What has to be known of it, or empty.
    """

    what: str
    words: str
    unit: str = "bytes"
    estimate: float | None = None
    measured: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    def shown(self, value: float | None) -> str:
        """Return a value of it in its unit, or a dash."""
        if value is None:
            return "-"
        return human_seconds(value) if self.unit == "seconds" else human_bytes(value)


@dataclass(frozen=True, slots=True)
class DeepReport:
    """What a deep check says of one MMAR.

    Attributes:
        networks: How large they are, by whose they are: ``server``, ``client``, ``checkpoint``.
        clients: Of how many clients the estimates of a round are.
        figures: The estimates, and what was measured.
        dry_run: Of how many clients a dry run was made; None if none was.
    """

    networks: Mapping[str, NetworkSize] = field(default_factory=dict)
    clients: int = 0
    figures: tuple[Figure, ...] = ()
    dry_run: int | None = None


def deep_json(deep: DeepReport) -> dict[str, Any]:
    """Return it as a JSON object, by the schema ``validate_report``."""
    return {
        "networks": {
            whose: {"tensors": one.tensors, "elements": one.elements, "bytes": one.bytes}
            for whose, one in deep.networks.items()
        },
        "clients": deep.clients,
        "figures": [
            {
                "what": one.what,
                "unit": one.unit,
                "estimate": one.estimate,
                "measured": one.measured,
                "parts": dict(one.parts),
                "note": one.note,
            }
            for one in deep.figures
        ],
        "dry_run": None if deep.dry_run is None else {"clients": deep.dry_run},
    }


def deep_lines(deep: DeepReport) -> list[str]:
    """Return it as lines of text: how large networks are, and a table, numbers to the right."""
    sizes = [
        f"{whose}: {counted(one.tensors, 'tensor')}, {one.elements:,} numbers, "
        f"{human_bytes(one.bytes)}"
        for whose, one in deep.networks.items()
    ]
    return [*sizes, *(["", *_table(deep)] if deep.figures else [])]


def _table(deep: DeepReport) -> list[str]:
    tried = deep.dry_run is not None
    dry = f"dry run, {counted(deep.dry_run or 0, 'client')}" if tried else ""
    rows = [("", "estimate", dry, ""), *(row for one in deep.figures for row in _rows(one))]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        _GAP.join(
            (
                row[0].ljust(widths[0]),
                row[1].rjust(widths[1]),
                *([row[2].rjust(widths[2])] if tried else []),
                row[3],
            )
        ).rstrip()
        for row in rows
    ]


def _rows(figure: Figure) -> Iterator[tuple[str, str, str, str]]:
    estimate, measured = figure.shown(figure.estimate), figure.shown(figure.measured)
    yield figure.words, estimate, measured, figure.note
    for name, value in figure.parts.items():
        yield f"  {name}", figure.shown(value), "", ""
