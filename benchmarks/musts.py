# SPDX-License-Identifier: Apache-2.0
"""What the program must reach, and what it aims at: every bound, in one place, as data.

A bound stands on a figure of a case (`cases.py`). Where it stands on several cases, the worst
of them counts, and all of them have to have been measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

#: Factors that turn a figure of a case into its unit, and how many digits are shown.
_UNITS: Final = {
    "x": (1, 2),
    "%": (100, 1),
    "ms": (1000, 1),
    "s": (1, 2),
    "MiB": (1, 0),
    "": (1, 0),
}

Figures = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Must:
    """One bound.

    Attributes:
        row: What is bounded, in words.
        cases: The cases whose figure is bounded.
        field: Where it is in a case's figures, with dots between keys.
        must: The bound, in `unit`.
        aim: A better one that is aimed at, or None.
        unit: x, %, ms, s, MiB, or nothing for a count. Cases give shares of 1 for %, seconds
            for ms.
        least: The bound is the least that is allowed, not the most.
        beside: A case whose figure this one is compared with; bounded is the difference, as a
            share of it.
    """

    row: str
    cases: tuple[str, ...]
    field: str
    must: float
    aim: float | None
    unit: str
    least: bool = False
    beside: str | None = None

    @property
    def measured(self) -> tuple[str, ...]:
        """The cases that have to be measured before it can be judged."""
        return self.cases if self.beside is None else (*self.cases, self.beside)

    def seen(self, figures: Figures) -> float | None:
        """Return the figure in its unit, or None if a case was not measured.

        Args:
            figures: What was measured, by case.
        """
        values = [_value(figures, case, self.field) for case in self.cases]
        there = [value for value in values if value is not None]
        if len(there) < len(values):
            return None
        worst = min(there) if self.least else max(there)
        if self.beside is not None:
            other = _value(figures, self.beside, self.field)
            if other is None:
                return None
            worst = abs(worst / other - 1)
        return worst * _UNITS[self.unit][0]

    def reached(self, seen: float, bound: float) -> bool:
        """Whether a figure keeps a bound, both in the unit."""
        return seen >= bound if self.least else seen <= bound

    def written(self, value: float) -> str:
        """Return a figure with its unit."""
        digits = _UNITS[self.unit][1]
        return f"{value:,.{digits}f} {self.unit}".strip()

    def bound(self, value: float) -> str:
        """Return a bound with its unit and its direction."""
        return f"{'≥' if self.least else '≤'} {value:,g} {self.unit}".strip()


def _value(figures: Figures, case: str, field: str) -> float | None:
    found: Any = figures.get(case, {})
    for key in field.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return None if found is None else float(found)


#: Cases that say what a session takes, whatever the model.
_SIZES: Final = ("10KB-8", "100MB-2", "100MB-8", "500MB-4", "tls-cost")

# One bound after another is read like a table.
# fmt: off
MUSTS: Final = (
    Must("10 KB, 8 clients: median round over the floor", ("10KB-8",), "ratio", 3, 2, "x"),
    Must("10 KB, 8 clients, TLS: median round over the floor",
         ("tls-cost-10KB",), "ratio_tls", 3, 2, "x"),
    Must("100 MB, 2 clients: share of the floor's bytes per second",
         ("100MB-2",), "share", 35, 60, "%", least=True),
    Must("100 MB, 2 clients, TLS: share of the floor's bytes per second",
         ("tls-cost",), "share_tls", 35, 60, "%", least=True),
    Must("500 MB, 4 clients: share of the floor's bytes per second",
         ("500MB-4",), "share", 25, 45, "%", least=True),
    Must("peak memory of the server, 500 MB, 4 clients",
         ("500MB-4",), "rss_mib.server", 200, 150, "MiB"),
    Must("peak memory of the server, 500 MB with 4 clients beside 100 MB with 2",
         ("500MB-4",), "rss_mib.server", 15, None, "%", beside="100MB-2"),
    Must("peak memory of the server, 500 MB with 4 clients beside 100 MB with 8",
         ("500MB-4",), "rss_mib.server", 15, None, "%", beside="100MB-8"),
    Must("peak memory of a session, any model", _SIZES, "rss_mib.session", 120, 90, "MiB"),
    Must("1,000 sessions: updates in every round",
         ("1000-sessions",), "updates", 1000, None, "", least=True),
    Must("1,000 sessions, 10 KB: median round over the floor",
         ("1000-sessions",), "ratio", 3, 2, "x"),
    Must("1,000 sessions: peak memory of the server",
         ("1000-sessions",), "rss_mib.server", 400, None, "MiB"),
    Must("`simulate`, 10 KB, 8 clients: median round", ("simulate-8",), "ours_s", 60, 30, "ms"),
    Must("`simulate`, 10 KB, 8 clients: memory of all processes",
         ("simulate-8",), "rss_mib.all", 600, None, "MiB"),
    Must("`validate-mmar mmars/breast_cancer`, cold", ("validate-cold",), "ours_s", 0.4, 0.25, "s"),
    Must("Median, 100 MB, 8 updates: a round beside reading them once",
         ("combine-100MB-8",), "Median.ratio", 6, None, "x"),
    Must("aggregation alone, any rule, 500 MB, 8 updates: peak memory",
         ("combine-500MB-8",), "most_mib", 256, None, "MiB"),
    Must("TLS, 100 MB, 2 clients: taken from the program's bytes per second",
         ("tls-cost",), "cost", 35, None, "%"),
    Must("`verify-mmar`, 200 files and 200 MB, cold", ("trust",), "verify.ours_s", 1.5, None, "s"),
    Must("a site admits an MMAR of 200 files and 200 MB, cold",
         ("trust",), "admit.ours_s", 1.5, None, "s"),
    Must("`policy explain` of a small MMAR", ("trust",), "explain-small.ours_s", 0.4, None, "s"),
    Must("8 sessions, server killed: at most, from listening again to the next round",
         ("restart-8",), "most_s", 3, None, "s"),
    Must("8 sessions, TLS, server killed: at most, from listening again to the next round",
         ("restart-8-tls",), "most_s", 3, None, "s"),
    Must("durable receipts, 100 MB, 2 clients: a round takes longer by",
         ("100MB-2",), "full_cost", 30, None, "%"),
    Must("2,000 rounds: growth of server and sessions, at most", ("soak",), "growth", 5, None, "%"),
    Must("2,000 rounds: more open files in a process", ("soak",), "files", 0, None, ""),
    Must("heartbeats while 8 sessions move 100 MB: p99", ("heartbeat",), "p99_s", 1, None, "s"),
    Must("status of a standing server with 200 clients",
         ("admin-200",), "status_s", 300, None, "ms"),
    Must("an order to 200 clients, answered by all", ("admin-200",), "all_s", 2, None, "s"),
    Must("a client's answer while it trains, and while it moves 500 MB: p95",
         ("admin-busy",), "p95_s", 100, None, "ms"),
    Must("an upload of 200 MB, all that it does: share of the floor's bytes per second",
         ("upload-200MB",), "share", 50, None, "%", least=True),
)

#: How far a federation grows: measured by `scale.py`.
SCALE: Final = (
    Must("root, 4 combiners, 64 sessions: every model is the flat federation's (1: yes)",
         ("tree-64",), "same_models", 1, None, "", least=True),
    Must("root, 4 combiners, 64 sessions, 10 KB: median round over the flat one, durable receipts",
         ("tree-64",), "full.ratio", 2, None, "x"),
    Must("the same with receipts that do not wait for the disk",
         ("tree-64",), "process.ratio", 2, None, "x"),
    Must("1 MB: what the root's sockets send in a round, over the values of one model",
         ("tree-64",), "traffic_1MB.socket_models_down", 4.1, None, "x"),
    Must("1 MB: what they receive, over the values of one float64 sum",
         ("tree-64",), "traffic_1MB.socket_sums_up", 4.1, None, "x"),
    Must("a new client, kit and 20 MB of package, to its first round trained; beyond imports",
         ("arrival-20MB", "arrival-20MB-torch"), "beyond_s", 3, None, "s"),
    Must("`simulate`, 1,000 clients of `digits_cnn`, 100 a round, 5 rounds: the whole command",
         ("simulate-digits-1000",), "run_s", 90, None, "s"),
    Must("the same: memory of all its processes together",
         ("simulate-digits-1000",), "pss_mib", 2048, None, "MiB"),
    Must("`simulate`, 10,000 clients of `echo`, 100 a round: median round beside that of 1,000",
         ("simulate-echo-10000",), "ratio", 1.2, None, "x"),
)
# fmt: on
