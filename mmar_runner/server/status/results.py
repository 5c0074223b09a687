# SPDX-License-Identifier: Apache-2.0
"""What a run that has ended left, as its ``summary.json`` says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypedDict

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.storage.bounded import read_bounded

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.server.records.workspace import RunFolder

#: Bytes of a summary that are read at most.
_LIMIT: Final = 256 << 20


class RunResults(TypedDict):
    """What a run left: where, and how good it is; a model that is not there is None."""

    folder: str
    rounds: int
    metrics: dict[str, float]
    aggregation: dict[str, Any]
    final_model: str | None
    best_round: int | None
    best_model: str | None
    wall_seconds: float


def read_results(run: RunFolder) -> RunResults | None:
    """Return what a run left; None if its summary does not say it."""
    summary = _summary(run.summary)
    if summary is None:
        return None
    rounds = summary["rounds"]
    return {
        "folder": str(run.path),
        "rounds": len(rounds),
        "metrics": dict(rounds[-1]["metrics"]) if rounds else {},
        "aggregation": dict(rounds[-1].get("aggregation", {})) if rounds else {},
        "final_model": _path(run, summary["final_model"]),
        "best_round": summary["best_round"],
        "best_model": _path(run, summary["best_model"]),
        "wall_seconds": summary["wall_seconds"],
    }


def _summary(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(read_bounded(path, _LIMIT))
    except (OSError, ValueError, RecursionError):
        return None
    return value if not faults(load_schema("summary"), value) else None


def _path(run: RunFolder, model: str | None) -> str | None:
    return None if model is None else str(run.path / model)
