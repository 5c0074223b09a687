# SPDX-License-Identifier: Apache-2.0
"""What the demonstration says at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console
from rich.table import Table

from baselines import Measured
from demo_federation import HOSPITALS


def show(results: Sequence[Measured], summary: Mapping[str, Any], seconds: float) -> None:
    """Print the table.

    Args:
        results: What `Comparison.run` gave.
        summary: The run's.
        seconds: Of the whole demonstration.
    """
    table = Table(title="Measured on the union of what the hospitals hold out")
    table.add_column("trained by")
    for heading in ("trained on N cases", "AUC", "accuracy"):
        table.add_column(heading, justify="right")
    for one in results[:HOSPITALS]:
        table.add_row(*_row(one))
    table.add_row(*_row(_alone(results)), style="dim", end_section=True)
    table.add_row(*_row(results[HOSPITALS]), style="bold")
    table.add_row(*_row(results[-1]))
    console = Console()
    console.print()
    console.print(table)
    rounds, wall = len(summary["rounds"]), summary["wall_seconds"]
    console.print(f"{rounds} rounds over gRPC in {wall:.1f} s; no hospital showed a case.")
    console.print(f"The whole demonstration took {seconds:.1f} s.")


def say_what_is_next(folder: Path | None) -> None:
    """Print what was seen, where the files are, and what to read next.

    Args:
        folder: Where the files were kept; None if they are removed.
    """
    print("\nYou saw one server and three clients train one model, each a process of its own; no")
    print("case left its hospital. The table says what that was good for.")
    if folder is None:
        print('The files are removed; to keep them: make demo DEMO="--workspace DIR"')
    else:
        print(f"The models, the journal and summary.json are in {folder / 'server' / 'run_1'}.")
    print("Next:")
    print("  docs/tutorial/first-federation.md            the same by hand, step by step")
    print("  docs/how-to/train-on-your-own-table.md       your own data in place of ours")


def _row(one: Measured) -> tuple[str, str, str, str]:
    return one.who, str(one.samples), f"{one.auc:.4f}", f"{one.accuracy:.1%}"


def _alone(results: Sequence[Measured]) -> Measured:
    alone = results[:HOSPITALS]
    return Measured(
        "mean of the hospitals alone",
        round(mean(one.samples for one in alone)),
        mean(one.auc for one in alone),
        mean(one.accuracy for one in alone),
    )


def as_json(
    seed: int, results: Sequence[Measured], summary: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """Return the same as JSON, with the seed of the data's cut."""
    return {
        "seed": seed,
        "alone": [asdict(one) for one in results[:HOSPITALS]],
        "mean_alone": asdict(_alone(results)),
        "federation": asdict(results[HOSPITALS]),
        "pooled": asdict(results[-1]),
        "rounds": len(summary["rounds"]),
        "federation_seconds": summary["wall_seconds"],
        "seconds": round(seconds, 1),
    }
