# SPDX-License-Identifier: Apache-2.0
"""The cases of the benchmark: what runs, how often, and which figures come of it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import administer
import combine
import heartbeat
import ours
import restart
import soak
import trust
import upload
from federations import DurabilityCost, Federation, TlsCost
from plan import median, memory, mib

if TYPE_CHECKING:
    from plan import Plan

#: Rounds of the soak, the least that it can judge, and after which share of them it looks first.
_SOAK_ROUNDS: Final = 2000
_SHORTEST_SOAK: Final = 100
_SETTLED: Final = 0.1


@dataclass(frozen=True, slots=True)
class Simulation:
    """A case of ``simulate``; nothing bare does the same, so it has no floor.

    Attributes:
        clients: How many clients.
        model_mb: Megabytes of the model.
        rounds: Rounds, the first included, unless the plan says otherwise.
        repeats: Turns, unless the plan says otherwise.
    """

    clients: int
    model_mb: float
    rounds: int
    repeats: int = 1

    def __call__(self, plan: Plan) -> dict[str, Any]:
        """Measure the case."""
        rounds = plan.rounds or self.rounds
        results = [
            ours.simulate(clients=self.clients, model_mb=self.model_mb, rounds=rounds)
            for _ in range(plan.repeats or self.repeats)
        ]
        return {"ours_s": median(results), "rss_mib": memory(results)}


@dataclass(frozen=True, slots=True)
class Combining:
    """A case of aggregation alone, over files as a server's spool holds them.

    Attributes:
        model_mb: Megabytes of the model.
        rules: Names of rules in `combine`.
        clients: How many updates.
        repeats: Turns, unless the plan says otherwise.
    """

    model_mb: float
    rules: tuple[str, ...]
    clients: int = 8
    repeats: int = 1

    @property
    def disk_bytes(self) -> int:
        """What it takes of the disk."""
        return int((self.clients + 1) * self.model_mb * 1e6)

    def __call__(self, plan: Plan) -> dict[str, Any]:
        """Measure the case."""
        return combine.measure(
            megabytes=self.model_mb,
            clients=self.clients,
            rules=self.rules,
            repeats=plan.repeats or self.repeats,
        )


def validate_cold(plan: Plan) -> dict[str, Any]:
    """Start ``validate-mmar`` in a fresh process; the floor is a bare interpreter."""
    sample = str(ours.ROOT / "mmars" / "breast_cancer")
    repeats = 3 + 2 * (plan.repeats or 3)
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
    repeats = plan.repeats or 1
    short = restart.measure(clients=8, kills=1 + repeats, away=1.0, trusted=trusted)
    long = restart.measure(clients=8, kills=repeats, away=30.0, trusted=trusted)
    most_s = max(short["most_s"], long["most_s"])
    return {"tls": plan.tls, "most_s": most_s, "short": short, "long": long}


def restart_8_tls(plan: Plan) -> dict[str, Any]:
    """Do the same with start-up kits."""
    return restart_8(replace(plan, tls=True))


def idle_server(_plan: Plan) -> dict[str, Any]:
    """Let a server wait for clients; it should cost no processor time."""
    rest = ours.idle_server(seconds=3)
    return {"rss_mib": {"server": mib(rest["server_rss"])}, "core_share": rest["core_share"]}


def heartbeat_8(plan: Plan) -> dict[str, Any]:
    """Eight real sessions move 100 MB each, and beat; so does one that does nothing else."""
    beats = heartbeat.measure(clients=8, model_mb=100, rounds=plan.rounds or 5)
    slowest_ms = max(beats["witness"]["p99_ms"], beats["sessions"]["p99_ms"])
    return {"p99_s": slowest_ms / 1000, **beats}


def soak_4(plan: Plan) -> dict[str, Any]:
    """Run 2,000 rounds, or as many as the plan says, and see what each process grew by."""
    rounds = max(plan.rounds or _SOAK_ROUNDS, _SHORTEST_SOAK)
    verdicts = soak.soak(rounds=rounds, settled=int(_SETTLED * rounds), clients=4, model_mb=0.01)
    return {"rounds": rounds, **soak.worst(verdicts)}


def trust_cost(plan: Plan) -> dict[str, Any]:
    """Verify, admit and explain an MMAR of 200 files and 200 MB, each in a fresh process."""
    return trust.measure(["verify", "admit", "explain-small"], repeats=plan.repeats or 5)


def admin_200(plan: Plan) -> dict[str, Any]:
    """Let 200 clients wait for orders, and ask for the server's status and all of theirs."""
    return administer.many(clients=200, asks=10 * (plan.repeats or 2))


def admin_busy(plan: Plan) -> dict[str, Any]:
    """Ask a client for its status while it trains, and while it moves 500 MB."""
    return administer.busy(model_mb=500, asks=plan.rounds or 20)


def upload_200mb(plan: Plan) -> dict[str, Any]:
    """Upload an MMAR of 200 MB to a standing server; the floor is a bare stream under TLS."""
    return upload.measure(plan.keys, megabytes=200, repeats=plan.repeats or 3)


CASES: Final[Mapping[str, Callable[[Plan], dict[str, Any]]]] = {
    "10KB-2": Federation(2, 0.01, 60, 2),
    "10KB-8": Federation(8, 0.01, 60, 3),
    "10KB-32": Federation(32, 0.01, 20),
    "100MB-2": Federation(2, 100, 8, 3),
    "100MB-4": Federation(4, 100, 6),
    "100MB-8": Federation(8, 100, 4),
    "500MB-4": Federation(4, 500, 3),
    "1000-sessions": Federation(1000, 0.01, 6, 2, load=True),
    "tls-cost": TlsCost(Federation(2, 100, 8, 3)),
    "tls-cost-10KB": TlsCost(Federation(8, 0.01, 60, 3)),
    "durability-cost": DurabilityCost(Federation(2, 100, 8, 3)),
    "durability-cost-10KB": DurabilityCost(Federation(8, 0.01, 60, 3)),
    "simulate-2": Simulation(2, 0.01, 40),
    "simulate-8": Simulation(8, 0.01, 40, 3),
    "combine-100MB-8": Combining(100, ("FedAvg", "Median", "TrimmedMean"), repeats=5),
    "combine-500MB-8": Combining(500, tuple(combine.RULES)),
    "combine-1MB-8": Combining(1, tuple(combine.RULES)),
    "validate-cold": validate_cold,
    "trust": trust_cost,
    "upload-200MB": upload_200mb,
    "idle-server": idle_server,
    "heartbeat": heartbeat_8,
    "admin-200": admin_200,
    "admin-busy": admin_busy,
    "restart-8": restart_8,
    "restart-8-tls": restart_8_tls,
    "soak": soak_4,
}
#: Cases that can run under TLS.
WITH_KITS: Final = [
    name
    for name, case in CASES.items()
    if isinstance(case, Federation | TlsCost | DurabilityCost) or case is restart_8
]
#: Those of them that run in plain text or under TLS, not in turns.
ONE_OR_OTHER: Final = [name for name in WITH_KITS if not isinstance(CASES[name], TlsCost)]


def disk_bytes(names: list[str]) -> int:
    """Return what the largest of the cases takes of the disk."""
    inner = (getattr(CASES[name], "federation", CASES[name]) for name in names)
    return max(
        (case.disk_bytes for case in inner if isinstance(case, Federation | Combining)), default=0
    )
