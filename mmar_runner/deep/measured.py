# SPDX-License-Identifier: Apache-2.0
"""What a dry run took, beside what was estimated; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mmar_runner.mmar.reports.deep import Figure

if TYPE_CHECKING:
    from mmar_runner.simulation.run import SimulationOutcome


def measured(
    figures: Iterable[Figure], outcome: SimulationOutcome, sent_bytes: int | None
) -> tuple[Figure, ...]:
    """Return figures with what was measured, and the times.

    What a round of more clients moves was not measured.

    Args:
        figures: The estimates.
        outcome: How the run ended.
        sent_bytes: Of the model, as it left the server.
    """
    summary = outcome.summary
    seen: dict[str, float | None] = {
        "model_down": sent_bytes,
        "update_up": _update_bytes(summary),
        "trainer_memory": outcome.trainer_peak_bytes,
        "server_memory": summary.get("peak_rss_bytes"),
    }
    rounds = summary.get("rounds") or [{}]
    times = (
        Figure("round_seconds", "the round", "seconds", measured=rounds[0].get("seconds")),
        Figure("seconds", "the whole run", "seconds", measured=summary.get("wall_seconds")),
    )
    return (*(replace(one, measured=seen.get(one.what)) for one in figures), *times)


def _update_bytes(summary: Mapping[str, Any]) -> float | None:
    """Return the largest update of the first round, in bytes."""
    rounds = summary.get("rounds") or [{}]
    found = [one["bytes"] for one in rounds[0].get("contributions", ())]
    return max(found, default=None)
