# SPDX-License-Identifier: Apache-2.0
"""Cases with a server and clients as processes of their own, beside their floor."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import floor
import ours
from plan import Plan, median, memory, mib
from processes import Process

if TYPE_CHECKING:
    from tls import TlsFolder

_LOAD_PROCESSES: Final = 2


@dataclass(frozen=True, slots=True)
class Federation:
    """A case with a server and clients as processes of their own.

    Attributes:
        clients: How many clients.
        model_mb: Megabytes of the model.
        rounds: Rounds, the first included, unless the plan says otherwise.
        repeats: Turns of floor and program, unless the plan says otherwise.
        load: The clients are sessions of a load generator.
    """

    clients: int
    model_mb: float
    rounds: int
    repeats: int = 1
    load: bool = False

    def __call__(self, plan: Plan) -> dict[str, Any]:
        """Measure the case.

        The floors that hold their streams, write files or hash are for comparison: one turn each.
        """
        rounds, tls = plan.rounds or self.rounds, plan.encrypted
        floors, process, full = [], [], []
        for _ in range(plan.repeats or self.repeats):
            floors.append(self.run_floor(rounds, tls))
            process.append(self.run_ours(rounds, "process", tls))
            full.append(self.run_ours(rounds, "full", tls))
        held = median([self.run_floor(rounds, tls, held=True)])
        spool = median([self.run_floor(rounds, tls, spool=True)])
        hashed = median([self.run_floor(rounds, tls, spool=True, hashed=True)])
        floor_s, ours_s, full_s = median(floors), median(process), median(full)
        return {
            "tls": plan.tls,
            "floor_s": floor_s,
            "floor_held_s": held,
            "floor_spool_s": spool,
            "floor_hash_s": hashed,
            "ours_s": ours_s,
            "ours_full_s": full_s,
            "ratio": ours_s / floor_s,
            "ratio_full": full_s / floor_s,
            "ratio_held": ours_s / held,
            "share": floor_s / ours_s,
            "share_of_spool": spool / ours_s,
            "share_of_hash": hashed / ours_s,
            "full_cost": full_s / ours_s - 1,
            "updates": min(result.updates for result in process + full),
            "rss_mib": memory(process + full),
            "floor_rss_mib": mib(max(result.server_rss for result in floors)),
        }

    @property
    def disk_bytes(self) -> int:
        """What a turn may take of the disk: models and updates, at the server and at clients."""
        return int(self.model_mb * 1_000_000) * (4 * self.clients + 4)

    def run_floor(
        self,
        rounds: int,
        tls: TlsFolder | None,
        *,
        spool: bool = False,
        hashed: bool = False,
        held: bool = False,
    ) -> floor.FloorResult:
        """Measure the floor once, under TLS if there are keys."""
        return floor.measure(
            clients=self.clients,
            total=int(self.model_mb * 1_000_000),
            rounds=rounds,
            spool=spool,
            hashed=hashed,
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
        return [partial(generator, first, share, kits) for first in firsts]


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
        for _ in range(plan.repeats or self.federation.repeats):
            for results, tls in zip(floors, both, strict=True):
                results.append(self.federation.run_floor(rounds, tls))
            for runs, tls in zip(programs, both, strict=True):
                runs.append(self.federation.run_ours(rounds, "process", tls))
        floor_s, floor_tls_s = map(median, floors)
        ours_s, ours_tls_s = map(median, programs)
        return {
            "floor_s": floor_s,
            "floor_tls_s": floor_tls_s,
            "ours_s": ours_s,
            "ours_tls_s": ours_tls_s,
            "floor_cost": 1 - floor_s / floor_tls_s,
            "cost": 1 - ours_s / ours_tls_s,
            "ratio_tls": ours_tls_s / floor_tls_s,
            "share_tls": floor_tls_s / ours_tls_s,
            "rss_mib": memory(programs[1]),
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
        for _ in range(plan.repeats or self.federation.repeats):
            process.append(self.federation.run_ours(rounds, "process", plan.encrypted))
            full.append(self.federation.run_ours(rounds, "full", plan.encrypted))
        process_s, full_s = median(process), median(full)
        return {
            "tls": plan.tls,
            "process_s": process_s,
            "full_s": full_s,
            "cost": full_s / process_s - 1,
            "rss_mib": memory(full),
        }


def generator(first: int, count: int, kits: Path | None, target: str, noise: float = 0) -> Process:
    """Start a load generator.

    Args:
        first: The number of its first session, which is its name.
        count: How many sessions.
        kits: The folder of their start-up kits; None shows no certificates.
        target: Whom they call.
        noise: By how much their updates differ.
    """
    script = str(Path(__file__).with_name("load.py"))
    numbers = ("--first", str(first), "--sessions", str(count), "--noise", str(noise))
    identity = () if kits is None else ("--kits", str(kits))
    return Process([sys.executable, script, target, *numbers, *identity])
