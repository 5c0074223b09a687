# SPDX-License-Identifier: Apache-2.0
"""The program against its floor, side by side in one run: one JSON object a case and line.

Times are medians of rounds after the first. ``ratio`` is ours over the floor of the same
run, and ``share`` the floor over ours: the part of the floor's bytes per second that the
program reaches. Floor and program take turns, so that both see the same machine.

    make bench                                 # every case that a bound stands on
    make bench BENCH="--write"                 # and its table into docs/reference/performance.md
    make bench BENCH="--all"                   # the other cases too
    make bench BENCH="--quick"
    make bench BENCH="--case 100MB-2 --case 10KB-8 --rounds 10"
    make bench BENCH="--tls --case 10KB-8"     # the same under mutual TLS, with kits
    make bench BENCH="--case tls-cost"         # TLS against plain text
    make bench BENCH="--case durability-cost"  # receipts that wait for the disk, or do not

After the cases comes a table of the bounds (``musts.py``) that they say something about. Exits
with 1 if a bound is missed or a case failed.

With ``--tls`` floor and program both show certificates and encrypt; only cases with a
server and clients can. ``cost`` of tls-cost is the part of the bytes per second that TLS
takes from the program, ``floor_cost`` what it takes from the floor. ``cost`` of
durability-cost is how much longer a round takes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import ours
import page
from cases import CASES, ONE_OR_OTHER, WITH_KITS, disk_bytes
from musts import JUDGED
from plan import Plan
from processes import ProcessFailedError
from tls import TlsFolder

_QUICK: Final = ("10KB-2", "10KB-8", "100MB-2", "simulate-8", "validate-cold", "idle-server")
#: Letters of an error: what processes said may be all their logs.
_LONGEST_ERROR: Final = 2000
#: What a case raises when a process of it ends, hangs or says what nobody expected.
_FAILURES: Final = (
    ProcessFailedError,
    AssertionError,
    RuntimeError,
    OSError,
    ValueError,
    LookupError,
    subprocess.SubprocessError,
)


def main() -> None:
    """Measure the chosen cases, print one JSON object a case, and judge them."""
    parser = _parser()
    arguments = parser.parse_args()
    names = _names(arguments)
    if arguments.tls and (wrong := set(names).difference(WITH_KITS)):
        parser.error(f"--tls says nothing to {', '.join(sorted(wrong))}")
    if (need := disk_bytes(names)) > (free := shutil.disk_usage(ours.ROOT).free):
        parser.error(f"{need / 1e9:.0f} GB of disk are needed and {free / 1e9:.0f} GB are free")
    if arguments.write:
        _check_page(parser)
    began, about = time.monotonic(), page.machine()
    rounds = arguments.rounds or (5 if arguments.quick else None)
    repeats = arguments.repeats or (1 if arguments.quick else None)
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as folder:
        plan = Plan(rounds, repeats, TlsFolder(Path(folder)), arguments.tls)
        print(json.dumps({"case": "machine", **about}), flush=True)
        figures = {name: _measure(name, plan) for name in names}
    sys.exit(_judge(figures, arguments, about, time.monotonic() - began))


def _check_page(parser: argparse.ArgumentParser) -> None:
    try:
        page.check()
    except ValueError as error:
        parser.error(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=list(CASES), help="repeatable")
    parser.add_argument("--all", action="store_true", help="also cases without a bound")
    parser.add_argument("--rounds", type=int, help="rounds of each federation")
    parser.add_argument("--repeats", type=int, help="turns of floor and program")
    parser.add_argument("--quick", action="store_true", help="few cases, few rounds")
    parser.add_argument("--tls", action="store_true", help="mutual TLS, with start-up kits")
    parser.add_argument("--write", action="store_true", help="write the table into the page")
    return parser


def _names(arguments: argparse.Namespace) -> list[str]:
    if arguments.case:
        return list(dict.fromkeys(arguments.case))
    chosen = _QUICK if arguments.quick else CASES if arguments.all or arguments.tls else JUDGED
    return [name for name in CASES if name in chosen and (not arguments.tls or name in WITH_KITS)]


def _measure(name: str, plan: Plan) -> dict[str, Any]:
    """Print a case's line and return its figures; one that failed has its ``error`` alone."""
    began = time.monotonic()
    try:
        figures: dict[str, Any] = _rounded(CASES[name](plan))
    except _FAILURES as error:  # half an hour of other figures is not lost for it
        said = f"{type(error).__name__}: {error}"
        figures = {"tls": plan.tls and name in ONE_OR_OTHER, "error": said[:_LONGEST_ERROR]}
    took = {"took_s": round(time.monotonic() - began, 1)}
    print(json.dumps({"case": name, **figures, **took}), flush=True)
    return figures


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _judge(
    figures: dict[str, dict[str, Any]],
    arguments: argparse.Namespace,
    about: dict[str, Any],
    seconds: float,
) -> bool:
    """Print the table, and write it if asked; return whether a case failed or a bound is missed."""
    judged = {_judged_as(name, found): found for name, found in figures.items()}
    if table := page.table(judged, whole=False):
        print(f"\n{table}", flush=True)
    if arguments.write:
        page.write(page.section(judged, sys.argv[1:], about, seconds))
    missed = page.missed(judged)
    for must in missed:
        print(f"missed: {must.row}", file=sys.stderr)
    return bool(missed) or any("error" in found for found in figures.values())


def _judged_as(name: str, figures: dict[str, Any]) -> str:
    """Return the case's name among the bounds: with ``--tls`` it is not the one in plain text."""
    return f"{name}-tls" if figures.get("tls") and not name.endswith("-tls") else name


if __name__ == "__main__":
    main()
