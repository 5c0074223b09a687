# SPDX-License-Identifier: Apache-2.0
"""The program against its floor, side by side in one run: one JSON object a case and line.

Times are medians of rounds after the first. ``ratio`` is ours over the floor of the same
run, and ``share`` the floor over ours: the part of the floor's bytes per second that the
program reaches. Floor and program take turns, so that both see the same machine.

    make bench BENCH="--quick"
    make bench BENCH="--case 100MB-2 --case 10KB-8 --rounds 10"
    make bench BENCH="--tls"                   # the same under mutual TLS, with kits
    make bench BENCH="--case tls-cost"         # TLS against plain text
    make bench BENCH="--case durability-cost"  # receipts that wait for the disk, or do not

With ``--tls`` floor and program both show certificates and encrypt; only cases with a
server and clients can. ``cost`` of tls-cost is the part of the bytes per second that TLS
takes from the program, ``floor_cost`` what it takes from the floor. ``cost`` of
durability-cost is how much longer a round takes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from cases import CASES, WITH_KITS, Plan
from processes import ProcessFailedError
from tls import TlsFolder

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
    parser.add_argument("--tls", action="store_true", help="mutual TLS, with start-up kits")
    arguments = parser.parse_args()
    names = arguments.case or _default_cases(quick=arguments.quick, tls=arguments.tls)
    if arguments.tls and (wrong := set(names).difference(WITH_KITS)):
        parser.error(f"--tls says nothing to {', '.join(sorted(wrong))}")
    rounds = arguments.rounds or (5 if arguments.quick else None)
    repeats = arguments.repeats or (1 if arguments.quick else 2)
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as folder:
        failed = _measure(names, Plan(rounds, repeats, TlsFolder(Path(folder)), arguments.tls))
    sys.exit(failed)


def _default_cases(*, quick: bool, tls: bool) -> list[str]:
    return [name for name in (_QUICK if quick else CASES) if not tls or name in WITH_KITS]


def _measure(names: list[str], plan: Plan) -> bool:
    """Print one line a case; return whether one failed."""
    print(json.dumps({"case": "machine", **machine()}), flush=True)
    failed = False
    for name in names:
        try:
            figures = _rounded(CASES[name](plan))
        except ProcessFailedError as error:
            figures, failed = {"error": str(error)}, True
        print(json.dumps({"case": name, **figures}), flush=True)
    return failed


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
