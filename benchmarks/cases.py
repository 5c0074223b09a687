# SPDX-License-Identifier: Apache-2.0
"""The cases of the benchmark: what runs, how often, and which figures come of it."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import floor
import heartbeat
import ours
import restart
from processes import Process

if TYPE_CHECKING:
    from tls import TlsFolder

_LOAD_PROCESSES: Final = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: Rounds of a federation, the first included; None takes the case's own.
        repeats: How often floor and program take turns.
        keys: The keys and certificates of this run, made when asked for.
        tls: Federations run with them.
    """

    rounds: int | None
    repeats: int
    keys: TlsFolder
    tls: bool = False

    @property
    def encrypted(self) -> TlsFolder | None:
        """The keys, if federations are to run with them."""
        return self.keys if self.tls else None


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
        rounds, tls = plan.rounds or self.rounds, plan.encrypted
        floors, helds, spools, process, full = [], [], [], [], []
        for _ in range(plan.repeats):
            floors.append(self.run_floor(rounds, tls))
            process.append(self.run_ours(rounds, "process", tls))
            helds.append(self.run_floor(rounds, tls, held=True))
            full.append(self.run_ours(rounds, "full", tls))
            spools.append(self.run_floor(rounds, tls, spool=True))
        base = _median(floors)
        return {
            "tls": plan.tls,
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

    def run_floor(
        self, rounds: int, tls: TlsFolder | None, *, spool: bool = False, held: bool = False
    ) -> floor.FloorResult:
        """Measure the floor once, under TLS if there are keys."""
        return floor.measure(
            clients=self.clients,
            total=int(self.model_mb * 1_000_000),
            rounds=rounds,
            spool=spool,
            held=held,
            processes=_LOAD_PROCESSES if self.load else None,
            tls=None if tls is None else tls.floor,
        )

    def run_ours(self, rounds: int, durability: str, tls: TlsFolder | None) -> ours.OursResult:
        """Measure the program once, with start-up kits if there are keys."""
        trusted = None if tls is None else tls.project(self.clients)
        kits = None if trusted is None else trusted.kits.out
        return ours.federation(
            clients=self.clients,
            model_mb=self.model_mb,
            rounds=rounds,
            durability=durability,
            load=self._generators(kits) if self.load else (),
            trusted=trusted,
        )

    def _generators(self, kits: Path | None) -> list[Callable[[str], Process]]:
        share = self.clients // _LOAD_PROCESSES
        firsts = range(1, self.clients + 1, share)
        return [partial(_generator, first, share, kits) for first in firsts]


@dataclass(frozen=True, slots=True)
class TlsCost:
    """A case that compares TLS with plain text, for the floor and for the program.

    Attributes:
        federation: What is run both ways.
    """

    federation: Federation

    def __call__(self, plan: Plan) -> dict[str, Any]:
        """Measure the case."""
        rounds, both = plan.rounds or self.federation.rounds, (None, plan.keys)
        floors: list[list[floor.FloorResult]] = [[], []]
        programs: list[list[ours.OursResult]] = [[], []]
        for _ in range(plan.repeats):
            for results, tls in zip(floors, both, strict=True):
                results.append(self.federation.run_floor(rounds, tls))
            for runs, tls in zip(programs, both, strict=True):
                runs.append(self.federation.run_ours(rounds, "process", tls))
        floor_s, floor_tls_s = map(_median, floors)
        ours_s, ours_tls_s = map(_median, programs)
        return {
            "floor_s": floor_s,
            "floor_tls_s": floor_tls_s,
            "ours_s": ours_s,
            "ours_tls_s": ours_tls_s,
            "floor_cost": 1 - floor_s / floor_tls_s,
            "cost": 1 - ours_s / ours_tls_s,
            "rss_mib": _memory(programs[1]),
        }


@dataclass(frozen=True, slots=True)
class DurabilityCost:
    """A case that compares receipts that wait for the disk with those that do not.

    Attributes:
        federation: What is run both ways, taking turns.
    """

    federation: Federation

    def __call__(self, plan: Plan) -> dict[str, Any]:
        """Measure the case."""
        rounds = plan.rounds or self.federation.rounds
        process: list[ours.OursResult] = []
        full: list[ours.OursResult] = []
        for _ in range(plan.repeats):
            process.append(self.federation.run_ours(rounds, "process", plan.encrypted))
            full.append(self.federation.run_ours(rounds, "full", plan.encrypted))
        process_s, full_s = _median(process), _median(full)
        return {
            "tls": plan.tls,
            "process_s": process_s,
            "full_s": full_s,
            "cost": full_s / process_s - 1,
            "rss_mib": _memory(full),
        }


def _generator(first: int, count: int, kits: Path | None, target: str) -> Process:
    script = str(Path(__file__).with_name("load.py"))
    numbers = ("--first", str(first), "--sessions", str(count))
    identity = () if kits is None else ("--kits", str(kits))
    return Process([sys.executable, script, target, *numbers, *identity])


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


def restart_8(plan: Plan) -> dict[str, Any]:
    """Kill a server with 8 sessions, leave it away for a while, and see its run go on."""
    trusted = None if plan.encrypted is None else plan.encrypted.project(8)
    short = restart.measure(clients=8, kills=1 + plan.repeats, away=1.0, trusted=trusted)
    long = restart.measure(clients=8, kills=plan.repeats, away=30.0, trusted=trusted)
    return {"tls": plan.tls, "short": short, "long": long}


def idle_server(_plan: Plan) -> dict[str, Any]:
    """Let a server wait for clients; it should cost no processor time."""
    rest = ours.idle_server(seconds=3)
    return {"rss_mib": {"server": _mib(rest["server_rss"])}, "core_share": rest["core_share"]}


def heartbeat_8(plan: Plan) -> dict[str, Any]:
    """Eight real sessions move 100 MB each, and beat; so does one that does nothing else."""
    return heartbeat.measure(clients=8, model_mb=100, rounds=plan.rounds or 5)


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


CASES: Final[Mapping[str, Callable[[Plan], dict[str, Any]]]] = {
    "10KB-2": Federation(2, 0.01, 60),
    "10KB-8": Federation(8, 0.01, 60),
    "10KB-32": Federation(32, 0.01, 20),
    "100MB-2": Federation(2, 100, 8),
    "100MB-4": Federation(4, 100, 6),
    "100MB-8": Federation(8, 100, 5),
    "500MB-4": Federation(4, 500, 4),
    "1000-sessions": Federation(1000, 0.01, 6, load=True),
    "tls-cost": TlsCost(Federation(2, 100, 8)),
    "tls-cost-10KB": TlsCost(Federation(8, 0.01, 60)),
    "durability-cost": DurabilityCost(Federation(2, 100, 8)),
    "durability-cost-10KB": DurabilityCost(Federation(8, 0.01, 60)),
    "simulate-2": Simulation(2, 0.01, 40),
    "simulate-8": Simulation(8, 0.01, 40),
    "validate-cold": validate_cold,
    "idle-server": idle_server,
    "restart-8": restart_8,
    "heartbeat": heartbeat_8,
}
#: Cases that can run under TLS.
WITH_KITS: Final = [
    name
    for name, case in CASES.items()
    if isinstance(case, Federation | TlsCost | DurabilityCost) or case is restart_8
]
