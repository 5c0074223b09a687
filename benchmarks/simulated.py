# SPDX-License-Identifier: Apache-2.0
"""Simulations of thousands of clients: how long, how much memory, how long a round.

    python benchmarks/simulated.py                   # every case: some minutes on two quiet cores
    python benchmarks/simulated.py --case digits-1000 --backend ray

Memory is the sum of what all processes take at one moment, shared pages divided among those
who share them (PSS), at the highest of many looks.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from plan import mib
from processes import Process, descendants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plan import Plan

_MMARS: Final = Path(__file__).resolve().parent.parent / "mmars"
_RUN_SECONDS: Final = 1800.0
_LOOK_SECONDS: Final = 0.3
#: The least pause between two looks, in durations of one: the kernel counts every page, and what
#: is measured waits meanwhile for memory.
_LOOK_PACE: Final = 50.0


def summed_up(turns: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each figure of several turns; of memory the most."""
    medians = {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
    return {**medians, "pss_mib": max(turn["pss_mib"] for turn in turns)}


@dataclass(frozen=True, slots=True)
class Simulated:
    """One simulation of many clients of whom few work in a round.

    Attributes:
        mmar: Its name in ``mmars/``.
        clients: How many are registered.
        per_round: How many of them work in a round.
        rounds: Rounds, unless the plan says otherwise.
        repeats: Turns, unless the plan says otherwise.
        variables: Of the MMAR.
        backend: Where trainers live.
    """

    mmar: str
    clients: int
    per_round: int = 100
    rounds: int = 5
    repeats: int = 1
    variables: Mapping[str, object] = field(default_factory=dict)
    backend: str = "local"

    def __call__(self, plan: Plan) -> dict[str, Any]:
        """Measure the case.

        Returns:
            ``run_s`` from the command to its end, ``round_s`` the median round but for the
            first, ``pss_mib`` the most memory of all processes together, and ``cpu_s`` what
            all processes took of the processors; the median of several turns, of memory the most.
        """
        return summed_up([self.turn(plan.rounds) for _ in range(plan.repeats or self.repeats)])

    def turn(self, rounds: int | None = None) -> dict[str, float]:
        """Run it once and return the figures of that turn."""
        settings = [f"--set={name}={value}" for name, value in self.variables.items()]
        os.sync()  # what the turn before has written and removed is no load of this one
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            before, begun = _children_seconds(), time.perf_counter()
            process = Process(
                [
                    *(sys.executable, "-m", "mmar_runner", "simulate", str(_MMARS / self.mmar)),
                    *("--clients", str(self.clients), "--rounds", str(rounds or self.rounds)),
                    *("--clients-per-round", str(self.per_round), "--workspace", folder),
                    *("--backend", self.backend, "--json", *settings),
                ],
                log=Path(folder) / "said.log",
            )
            with _watched(process.pid) as peak:
                summary = json.loads(process.wait(timeout=_RUN_SECONDS))
            seconds = [entry["seconds"] for entry in summary["rounds"]]
            return {
                "run_s": time.perf_counter() - begun,
                "round_s": statistics.median(seconds[1:] or seconds),
                "cpu_s": _children_seconds() - before,
                "pss_mib": mib(peak[0]),
            }


@dataclass(frozen=True, slots=True)
class Beside:
    """A case: many clients between few and few: the machine is not as quick all the time.

    Attributes:
        many: The simulation.
        few: It with fewer clients.
        repeats: Turns of both, unless the plan says otherwise.
    """

    many: Simulated
    few: Simulated
    repeats: int = 3

    def __call__(self, plan: Plan) -> dict[str, Any]:
        """Measure the case.

        Returns:
            ``ratio``, the median round of the many over the mean of the few's before and after,
            the median of several turns; what `Simulated` says of the many; and that of the few by
            ``few``.
        """
        turns = [
            [one.turn(plan.rounds) for one in (self.few, self.many, self.few)]
            for _ in range(plan.repeats or self.repeats)
        ]
        ratios = [
            many["round_s"] / statistics.mean(few["round_s"] for few in (before, after))
            for before, many, after in turns
        ]
        few = summed_up([few for before, _, after in turns for few in (before, after)])
        many = summed_up([many for _, many, _ in turns])
        return {"ratio": statistics.median(ratios), **many, "few": few, "ratios": ratios}


_ECHO: Final = Simulated("echo", 1000, rounds=20, variables={"MODEL_MB": 0.01})
CASES: Final[Mapping[str, Simulated | Beside]] = {
    "simulate-digits-1000": Simulated("digits_cnn", 1000),
    "simulate-echo-10000": Beside(replace(_ECHO, clients=10_000), _ECHO),
}


@contextmanager
def _watched(pid: int) -> Iterator[list[int]]:
    """Look at the memory of a process and all below it; gives the highest sum, in bytes."""
    peak, over = [0], threading.Event()

    def look() -> None:
        pause = _LOOK_SECONDS
        while not over.wait(pause):
            begun = time.perf_counter()
            peak[0] = max(peak[0], sum(map(_pss, [pid, *descendants(pid)])))
            pause = max(_LOOK_SECONDS, _LOOK_PACE * (time.perf_counter() - begun))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


def _pss(pid: int) -> int:
    """Return a process's share of memory in bytes; 0 if it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _children_seconds() -> float:
    """Return what ended children, and theirs that they waited for, took of the processors."""
    spent = os.times()
    return spent.children_user + spent.children_system


def main() -> None:
    """Measure the chosen cases and print one JSON object a case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=list(CASES), help="repeatable")
    parser.add_argument("--backend", choices=["local", "ray"], default="local")
    parser.add_argument("--rounds", type=int)
    arguments = parser.parse_args()
    for name in arguments.case or CASES:
        case = CASES[name]
        for one in (case.few, case.many) if isinstance(case, Beside) else (case,):
            chosen = replace(one, backend=arguments.backend)
            figures = {k: round(v, 3) for k, v in chosen.turn(arguments.rounds).items()}
            said = {"case": name, "clients": one.clients, **figures}
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
