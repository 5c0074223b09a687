# SPDX-License-Identifier: Apache-2.0
"""What a result of the topic ``metrics`` holds, read as rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from mmar_runner.errors import RefusedError
from mmar_runner.federation.metrics import METRICS_RULE, are_metric_names

#: The parts of a result that hold metrics by name.
PHASES: Final = ("train", "validation")
#: The last round that can be written down; a TensorBoard step has 63 bits.
_LAST_ROUND: Final = (1 << 31) - 1
#: Letters of what was sent that are shown to whoever sent it.
_SHOWN: Final = 40


class Row(NamedTuple):
    """One line of ``metrics.csv``.

    Attributes:
        run: The run's number.
        round: The round.
        client: Who measured.
        phase: ``train`` or ``validation``.
        metric: The metric's name.
        value: Its value, finite.
    """

    run: int
    round: int
    client: str
    phase: str
    metric: str
    value: float

    @property
    def measured(self) -> tuple[str, str]:
        """What makes two rows of a client and a round the same measurement."""
        return (self.phase, self.metric)


def read_rows(
    result: Mapping[str, Any], *, run: int, client: str, newest_round: int | None = None
) -> list[Row]:
    """Return the rows of a result ``{"round", "train", "validation", "num_samples"}``.

    A value that is not finite is left out, as it is of what an update reports: a metric may
    be undefined at a site.

    Args:
        result: What was sent.
        run: The run's number.
        client: Who sent it.
        newest_round: There are no results of a later round; None if it is not known.

    Raises:
        RefusedError: The result is not of that form.
    """
    newest = _LAST_ROUND if newest_round is None else newest_round
    number = _round(result.get("round"), newest)
    rows = [
        Row(run, number, client, phase, name, _number(name, value))
        for phase in PHASES
        for name, value in _metrics(result, phase).items()
    ]
    if "num_samples" in result:
        value = _number("num_samples", result["num_samples"])
        rows.append(Row(run, number, client, "train", "num_samples", value))
    return [row for row in rows if math.isfinite(row.value)]


def _round(value: Any, newest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refused("'round' is not an integer")
    if not 0 <= value <= newest:
        raise _refused(f"'round' is not from 0 to {newest}, the newest round")
    return value


def _metrics(result: Mapping[str, Any], phase: str) -> Mapping[str, Any]:
    metrics = result.get(phase) or {}
    if not isinstance(metrics, Mapping):
        raise _refused(f"{phase!r} is not an object")
    # A name of one printable line keeps one row one line of the file.
    if not are_metric_names(metrics):
        raise _refused(f"in {phase!r} {METRICS_RULE}")
    return metrics


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(f"metric {name[:_SHOWN]!r} is not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise _refused(f"metric {name[:_SHOWN]!r} is too large") from error


def _refused(what: str) -> RefusedError:
    return RefusedError(
        f"a result of the topic 'metrics' is malformed: {what}",
        reason="PROTOCOL",
        hint='send {"round": 0, "train": {"loss": 0.5}, "validation": {}, "num_samples": 10}',
    )
