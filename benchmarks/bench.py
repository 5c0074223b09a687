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
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ours
import page
from cases import CASES, ONE_OR_OTHER, WITH_KITS, disk_bytes
from plan import Plan
from suite import Suite
from tls import TlsFolder

if TYPE_CHECKING:
    from collections.abc import Mapping

_QUICK: Final = ("10KB-2", "10KB-8", "100MB-2", "simulate-8", "validate-cold", "idle-server")


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
    rounds = arguments.rounds or (5 if arguments.quick else None)
    repeats = arguments.repeats or (1 if arguments.quick else None)
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as folder:
        plan = Plan(rounds, repeats, TlsFolder(Path(folder)), arguments.tls)
        suite = Suite(page.BENCH, CASES, _judged_as)
        sys.exit(suite.perform(names, plan, write=arguments.write))


def _check_page(parser: argparse.ArgumentParser) -> None:
    try:
        page.BENCH.check()
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
    chosen = (
        _QUICK
        if arguments.quick
        else CASES
        if arguments.all or arguments.tls
        else page.BENCH.judged
    )
    return [name for name in CASES if name in chosen and (not arguments.tls or name in WITH_KITS)]


def _judged_as(name: str, figures: Mapping[str, Any]) -> str:
    """Return the case's name among the bounds: with ``--tls`` it is not the one in plain text."""
    tls = figures.get("tls") and name in ONE_OR_OTHER and not name.endswith("-tls")
    return f"{name}-tls" if tls else name


if __name__ == "__main__":
    main()
