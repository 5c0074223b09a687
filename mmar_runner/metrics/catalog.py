# SPDX-License-Identifier: Apache-2.0
"""Every metric by name: its kind, its labels with all their values, and what it says.

Label values are known before a run begins: a peer can add to a number, and to no list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import default_reasons
from mmar_runner.federation.client_status import ClientStatus
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.handler import EventType

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What stands for every value that is not known.
OTHER: Final = "other"
#: Reasons of refused updates beyond those that kinds of errors have by themselves.
_REFUSALS: Final = {
    "WEIGHT",
    "KIND",
    "CODEC",
    "METRICS",
    "TOO_LARGE",
    "TOO_MANY_ATTEMPTS",
    "PARTS",
    "COUNTED_TWICE",
    "NOT_ASSIGNED",
    "SITES_CHANGED",
    "OVERFLOW",
}
REASONS: Final = (*sorted(default_reasons() | _REFUSALS), OTHER)
#: What a client is at, as far as its server tells.
CLIENT_STATES: Final = (
    ClientStatus.IDLE,
    ClientStatus.TRAINING,
    ClientStatus.VALIDATING,
    ClientStatus.DONE,
)
#: Upper ends of the histogram's buckets, in seconds: a tenth of a second to a day.
ROUND_SECONDS: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400)


class MetricKind(StrEnum):
    """What a number does; a counter's name ends with ``_total``."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Described:
    """One metric.

    Attributes:
        name: As it is scraped.
        kind: What its number does.
        help: What it says; with the unit.
        labels: By name of a label, all its values; empty if they are not a list.
    """

    name: str
    kind: MetricKind
    help: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_COUNTER, _GAUGE = MetricKind.COUNTER, MetricKind.GAUGE
_BY_REASON: Final = {"reason": REASONS}
_BY_EVENT: Final = {"event": (*sorted(EventType), OTHER)}
_BY_STATUS: Final = {"status": tuple(RunStatus)}
_ENDED: Final = {"status": tuple(one for one in RunStatus if one is not RunStatus.RUNNING)}

METRICS: Final = (
    Described(
        "mmar_build_info",
        _GAUGE,
        "1, with the runner's and Python's version",
        {"version": (), "python": ()},
    ),
    Described("mmar_run_number", _GAUGE, "the number of the run"),
    Described("mmar_run_status", _GAUGE, "1 for what the run is, 0 for the others", _BY_STATUS),
    Described("mmar_runs_ended_total", _COUNTER, "runs that ended", _ENDED),
    Described("mmar_round", _GAUGE, "the round that is open, or was the last"),
    Described("mmar_rounds_planned", _GAUGE, "the round to stop at; negative for never"),
    Described("mmar_rounds_finished_total", _COUNTER, "rounds that have a result"),
    Described(
        "mmar_round_seconds",
        MetricKind.HISTOGRAM,
        "seconds from a round's opening to its result",
    ),
    Described("mmar_update_received_bytes_total", _COUNTER, "bytes of updates that count"),
    Described(
        "mmar_update_received_wire_bytes_total",
        _COUNTER,
        "the same as they came: compressed, if that is agreed on",
    ),
    Described("mmar_model_sent_bytes_total", _COUNTER, "bytes of models given to clients"),
    Described(
        "mmar_model_sent_wire_bytes_total",
        _COUNTER,
        "the same as they went: compressed, if that is agreed on",
    ),
    Described("mmar_updates_accepted_total", _COUNTER, "updates that count"),
    Described("mmar_updates_refused_total", _COUNTER, "updates that do not count", _BY_REASON),
    Described("mmar_tasks_failed_total", _COUNTER, "tasks that failed at a client", _BY_REASON),
    Described(
        "mmar_clients", _GAUGE, "clients that are there, by what they do", {"state": CLIENT_STATES}
    ),
    Described("mmar_clients_joined_total", _COUNTER, "clients that came, or came again"),
    Described("mmar_clients_left_total", _COUNTER, "clients that left, or were lost"),
    Described(
        "mmar_component_failures_total",
        _COUNTER,
        "handlers, hooks and processors that failed",
        _BY_EVENT,
    ),
    Described("mmar_models_lost_total", _COUNTER, "models that were damaged or missing"),
    Described("mmar_peak_memory_bytes", _GAUGE, "largest resident set of the server, in bytes"),
)
