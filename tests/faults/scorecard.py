# SPDX-License-Identifier: Apache-2.0
"""Plays cases with many seeds and writes ``docs/reference/faults.md``.

``make faults`` starts it; ``python -m tests.faults.scorecard --help`` says with what.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults import page
from tests.faults.arena import Arena
from tests.faults.case import NotHereError
from tests.faults.cases import CASES, Case

SEEDS = 10


@dataclass(frozen=True, slots=True)
class Played:
    """How one case went with one seed.

    Attributes:
        survived: Whether it was as expected; None if it could not be played here.
        figure: What was observed, or why it failed.
        seconds: How long it took.
    """

    survived: bool | None
    figure: str
    seconds: float


def play(case: Case, seed: int, arena: Arena) -> Played:
    """Play one case with the chances of one seed."""
    begun = time.monotonic()
    survived: bool | None = False
    try:
        figure = case.play(arena, random.Random(f"{case.name} {seed}"))
        survived = True
    except NotHereError as error:
        survived, figure = None, f"not here: {error}"
    except AssertionError as error:
        traceback.print_exc()
        figure = str(error).partition("\n")[0] or "an expectation"
    return Played(survived, figure, time.monotonic() - begun)


def play_all(
    cases: Sequence[Case], seeds: Sequence[int], arena: Arena
) -> Iterator[tuple[Case, list[Played]]]:
    """Play cases, one after the other, say how each went, and yield each once it is done.

    Args:
        cases: Which.
        seeds: With which seeds.
        arena: Where.
    """
    for case in cases:
        results = []
        for seed in seeds:
            played = play(case, seed, arena)
            results.append(played)
            word = {True: "survived", False: "LOST", None: "skipped"}[played.survived]
            line = f"{case.name} seed {seed}: {word} in {played.seconds:.1f} s: {played.figure}"
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        yield case, results


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what the command line names, write the page, return 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.scorecard", description=__doc__)
    parser.add_argument("--case", action="append", choices=sorted(CASES), help="only this one")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many (default {SEEDS})")
    parser.add_argument("--seed", type=int, action="append", help="this seed, not 1, 2, ...")
    parser.add_argument("--nominal", action="store_true", help="durations of the list, unscaled")
    parser.add_argument("--keep", action="store_true", help="leave the files if anything was lost")
    parser.add_argument("--no-page", action="store_true", help="do not write the page")
    chosen = parser.parse_args(arguments)
    cases = [CASES[name] for name in chosen.case or sorted(CASES)]
    seeds = chosen.seed or list(range(1, chosen.seeds + 1))
    folder, lost = Path(tempfile.mkdtemp(prefix="faults-")), False
    for case, played in play_all(cases, seeds, Arena(folder, nominal=chosen.nominal)):
        lost = lost or any(one.survived is False for one in played)
        if not chosen.no_page:
            page.write(_row(case, played, nominal=chosen.nominal))
    if lost and chosen.keep:
        sys.stdout.write(f"files: {folder}\n")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return int(lost)


def _row(case: Case, played: Sequence[Played], *, nominal: bool) -> page.Row:
    tried = [one for one in played if one.survived is not None]
    survived = sum(bool(one.survived) for one in tried)
    count = f"{survived}/{len(tried)}" if tried else "not played"
    figures = dict.fromkeys(one.figure for one in played if one.survived is not False)
    lost = dict.fromkeys(f"LOST: {one.figure}" for one in played if one.survived is False)
    seen = [*lost, *figures]
    shown = "; ".join(seen[:3]) + ("; ..." if len(seen) > 3 else "")
    durations = "as listed" if nominal or not case.scaled else case.scaled
    return page.Row(case.name, case.fault, case.expected, count, shown, durations, *case.peers)


if __name__ == "__main__":
    raise SystemExit(main())
