# SPDX-License-Identifier: Apache-2.0
"""The program against its floor, side by side in one run: one JSON object a case and line.

Times are medians of rounds after the first. ``ratio`` is ours over the floor of the same
run, and ``share`` the floor over ours: the part of the floor's bytes per second that the
program reaches. Floor and program take turns, so that both see the same machine.

    make bench BENCH="--quick"
    make bench BENCH="--case 100MB-2 --case 10KB-8 --rounds 10"
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import floor
import ours
from processes import Process, ProcessFailedError

_LOAD_PROCESSES: Final = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: Rounds of a federation, the first included; None takes the case's own.
        repeats: How often floor and program take turns.
    """

    rounds: int | None
    repeats: int


@dataclass(frozen=True, slots=True)
class Federation:
    """A case with a server and clients as processes of their own.

    Attributes:
        clients: How many clients.
        model_mb: Megabytes of the model.
        rounds: Rounds, the first included, unless the plan says otherwise.
        load: The clients are sessions of a load generator.
    """

    clients: int
    model_mb: float
    rounds: int
    load: bool = False

    def __call__(self, plan: Plan) -> dict[str, Any]:
        """Measure the case."""
        rounds = plan.rounds or self.rounds
        floors, helds, spools, process, full = [], [], [], [], []
        for _ in range(plan.repeats):
            floors.append(self._floor(rounds))
            process.append(self._ours(rounds, "process"))
            helds.append(self._floor(rounds, held=True))
            full.append(self._ours(rounds, "full"))
            spools.append(self._floor(rounds, spool=True))
        base = _median(floors)
        return {
            "floor_s": base,
            "floor_held_s": _median(helds),
            "floor_spool_s": _median(spools),
            "ours_s": _median(process),
            "ours_full_s": _median(full),
            "ratio": _median(process) / base,
            "ratio_full": _median(full) / base,
            "ratio_held": _median(process) / _median(helds),
            "share": base / _median(process),
            "share_of_spool": _median(spools) / _median(process),
            "rss_mib": _memory(process + full),
            "floor_rss_mib": _mib(max(result.server_rss for result in floors)),
        }

    def _floor(self, rounds: int, *, spool: bool = False, held: bool = False) -> floor.FloorResult:
        return floor.measure(
            clients=self.clients,
            total=int(self.model_mb * 1_000_000),
            rounds=rounds,
            spool=spool,
            held=held,
            processes=_LOAD_PROCESSES if self.load else None,
        )

    def _ours(self, rounds: int, durability: str) -> ours.OursResult:
        return ours.federation(
            clients=self.clients,
            model_mb=self.model_mb,
            rounds=rounds,
            durability=durability,
            load=self._generators() if self.load else (),
        )

    def _generators(self) -> list[Callable[[str], Process]]:
        share = self.clients // _LOAD_PROCESSES
        firsts = range(1, self.clients + 1, share)
        return [partial(_generator, first, share) for first in firsts]


def _generator(first: int, count: int, target: str) -> Process:
    script = str(Path(__file__).with_name("load.py"))
    numbers = ("--first", str(first), "--sessions", str(count))
    return Process([sys.executable, script, target, *numbers])


@dataclass(frozen=True, slots=True)
class Simulation:
    """A case of ``simulate``; nothing bare does the same, so it has no floor."""

    clients: int
    model_mb: float
    rounds: int

    def __call__(self, plan: Plan) -> dict[str, Any]:
        """Measure the case."""
        rounds = plan.rounds or self.rounds
        results = [
            ours.simulate(clients=self.clients, model_mb=self.model_mb, rounds=rounds)
            for _ in range(plan.repeats)
        ]
        return {"ours_s": _median(results), "rss_mib": _memory(results)}


def validate_cold(plan: Plan) -> dict[str, Any]:
    """Start ``validate-mmar`` in a fresh process; the floor is a bare interpreter."""
    sample = str(ours.ROOT / "mmars" / "breast_cancer")
    repeats = 3 + 2 * plan.repeats
    command = ("-m", "mmar_runner", "validate-mmar", sample)
    bare, cold = [], []
    for _ in range(repeats):
        bare += ours.cold_start("-c", "pass", repeats=1)
        cold += ours.cold_start(*command, repeats=1)
    return {
        "floor_s": statistics.median(bare),
        "ours_s": statistics.median(cold),
        "help_s": statistics.median(
            ours.cold_start("-m", "mmar_runner", "--help", repeats=repeats)
        ),
    }


def idle_server(_plan: Plan) -> dict[str, Any]:
    """Let a server wait for clients; it should cost no processor time."""
    rest = ours.idle_server(seconds=3)
    return {"rss_mib": {"server": _mib(rest["server_rss"])}, "core_share": rest["core_share"]}


CASES: Final[Mapping[str, Callable[[Plan], dict[str, Any]]]] = {
    "10KB-2": Federation(2, 0.01, 60),
    "10KB-8": Federation(8, 0.01, 60),
    "10KB-32": Federation(32, 0.01, 20),
    "100MB-2": Federation(2, 100, 8),
    "100MB-4": Federation(4, 100, 6),
    "100MB-8": Federation(8, 100, 5),
    "500MB-4": Federation(4, 500, 4),
    "1000-sessions": Federation(1000, 0.01, 6, load=True),
    "simulate-2": Simulation(2, 0.01, 40),
    "simulate-8": Simulation(8, 0.01, 40),
    "validate-cold": validate_cold,
    "idle-server": idle_server,
}
_QUICK: Final = ("10KB-2", "10KB-8", "100MB-2", "simulate-8", "validate-cold", "idle-server")


def machine() -> dict[str, Any]:
    """Return what the figures depend on besides the program."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    """Measure the chosen cases and print one JSON object a case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=list(CASES), help="repeatable")
    parser.add_argument("--rounds", type=int, help="rounds of each federation")
    parser.add_argument("--repeats", type=int, help="turns of floor and program")
    parser.add_argument("--quick", action="store_true", help="few cases, few rounds")
    arguments = parser.parse_args()
    names = arguments.case or (_QUICK if arguments.quick else list(CASES))
    rounds = arguments.rounds or (5 if arguments.quick else None)
    plan = Plan(rounds, arguments.repeats or (1 if arguments.quick else 2))
    print(json.dumps({"case": "machine", **machine()}), flush=True)
    failed = False
    for name in names:
        try:
            figures = _rounded(CASES[name](plan))
        except ProcessFailedError as error:
            figures, failed = {"error": str(error)}, True
        print(json.dumps({"case": name, **figures}), flush=True)
    sys.exit(failed)


def _median(results: list[floor.FloorResult] | list[ours.OursResult]) -> float:
    return statistics.median(second for result in results for second in result.rounds)


def _memory(results: list[ours.OursResult]) -> dict[str, float]:
    return {
        "server": _mib(max(result.server_rss for result in results)),
        "session": _mib(max(result.session_rss for result in results)),
        "trainer": _mib(max(result.trainer_rss for result in results)),
        "all": _mib(max(result.total_rss for result in results)),
    }


def _mib(count: float) -> float:
    return count / (1 << 20)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
