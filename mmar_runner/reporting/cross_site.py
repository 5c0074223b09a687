# SPDX-License-Identifier: Apache-2.0
"""The matrix of cross-site validation: every model on every site's data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.reporting.points import number
from mmar_runner.reporting.reading import read_object
from mmar_runner.reporting.tables import natural

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Rows and columns of one matrix, and matrices, that are shown.
_MOST: Final = 60
_MOST_METRICS: Final = 24
#: How many shades there are.
SHADES: Final = 6


@dataclass(frozen=True, slots=True)
class Cell:
    """One number; `shade` is 0 for the lowest of the matrix to `SHADES` - 1 for the highest."""

    value: float
    shade: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """One metric.

    Attributes:
        metric: Its name.
        sites: Whose data: the columns.
        rows: Whose model, and the number on each site's data; None where there is none.
        low: The lowest number.
        high: The highest.
    """

    metric: str
    sites: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    low: float
    high: float


def read_matrices(folder: Path, notes: list[str]) -> tuple[Matrix, ...]:
    """Return one matrix for every metric; none if there was no cross-site validation.

    Args:
        folder: The run's; the file is ``cross_site_validation/results.json``:
            ``{data site: {owner of the model: {metric: number}}}``.
        notes: Gets a sentence about what cannot be read or shown.
    """
    results = read_object(folder / "cross_site_validation" / "results.json", notes)
    found: dict[str, dict[tuple[str, str], float]] = {}
    odd = results is not None and not _gather(results, found)
    if odd:
        notes.append("cross_site_validation/results.json is not all of numbers, by site and model")
    if len(found) > _MOST_METRICS:
        notes.append(f"cross-site validation has {len(found)} metrics; {_MOST_METRICS} are shown")
    return tuple(_matrix(metric, found[metric], notes) for metric in sorted(found)[:_MOST_METRICS])


def _gather(results: Mapping[str, Any], found: dict[str, dict[tuple[str, str], float]]) -> bool:
    sound = True
    for site, owners in results.items():
        for owner, metrics in owners.items() if isinstance(owners, dict) else ():
            for metric, value in metrics.items() if isinstance(metrics, dict) else ():
                known = number(value)
                if math.isnan(known):
                    sound = False
                else:
                    found.setdefault(metric, {})[owner, site] = known
            sound = sound and isinstance(metrics, dict)
        sound = sound and isinstance(owners, dict)
    return sound


def _matrix(metric: str, cells: Mapping[tuple[str, str], float], notes: list[str]) -> Matrix:
    owners = sorted({owner for owner, _ in cells}, key=natural)
    sites = sorted({site for _, site in cells}, key=natural)
    if max(len(owners), len(sites)) > _MOST:
        notes.append(f"of {metric}, only {_MOST} models and sites are shown in the matrix")
    owners, sites = owners[:_MOST], sites[:_MOST]
    shown = [v for (o, s), v in cells.items() if o in set(owners) and s in set(sites)]
    low, high = min(shown, default=0.0), max(shown, default=0.0)

    def cell(owner: str, site: str) -> Cell | None:
        value = cells.get((owner, site))
        return None if value is None else Cell(value, _shade(value, low, high))

    rows = tuple((owner, tuple(cell(owner, site) for site in sites)) for owner in owners)
    return Matrix(metric, tuple(sites), rows, low, high)


def _shade(value: float, low: float, high: float) -> int:
    if high == low:
        return 0
    share = (value - low) / (high - low)
    return min(SHADES - 1, int(share * SHADES))
