# SPDX-License-Identifier: Apache-2.0
"""What a result of the topic ``metrics`` holds, read as rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from mmar_runner.errors import RefusedError

#: The parts of a result that hold metrics by name.
PHASES: Final = ("train", "validation")


class Row(NamedTuple):
    """One line of ``metrics.csv``.

    Attributes:
        run: The run's number.
        round: The round.
        client: Who measured.
        phase: ``train`` or ``validation``.
        metric: The metric's name.
        value: Its value; may be NaN or infinite.
    """

    run: int
    round: int
    client: str
    phase: str
    metric: str
    value: float

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two rows the same measurement."""
        return (str(self.round), self.client, self.phase, self.metric)


def read_rows(result: Mapping[str, Any], *, run: int, client: str) -> list[Row]:
    """Return the rows of a result ``{"round", "train", "validation", "num_samples"}``.

    Raises:
        RefusedError: The result is not of that form.
    """
    round_number = result.get("round")
    if isinstance(round_number, bool) or not isinstance(round_number, int):
        raise _refused(f"'round' is {round_number!r}, not an integer")
    rows = [
        Row(run, round_number, client, phase, _name(name), _number(name, value))
        for phase in PHASES
        for name, value in _metrics(result, phase).items()
    ]
    if "num_samples" in result:
        value = _number("num_samples", result["num_samples"])
        rows.append(Row(run, round_number, client, "train", "num_samples", value))
    return rows


def _metrics(result: Mapping[str, Any], phase: str) -> Mapping[str, Any]:
    metrics = result.get(phase) or {}
    if not isinstance(metrics, Mapping):
        raise _refused(f"{phase!r} is not an object")
    return metrics


def _name(name: str) -> str:
    # A name of one printable line keeps one row one line of the file.
    if not name or not name.isprintable():
        raise _refused(f"{name!r} cannot be the name of a metric")
    return name


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(f"metric {name!r} is {value!r}, not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise _refused(f"metric {name!r} is too large") from error


def _refused(what: str) -> RefusedError:
    return RefusedError(
        f"a result of the topic 'metrics' is malformed: {what}",
        reason="PROTOCOL",
        hint='send {"round": 0, "train": {"loss": 0.5}, "validation": {}, "num_samples": 10}',
    )
