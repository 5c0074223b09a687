# SPDX-License-Identifier: Apache-2.0
"""How far a federation grows: trees of combiners, new clients, one JSON object a case and line.

    make bench-scale                                 # every case that a bound stands on
    make bench-scale BENCH="--write"                 # and its table into docs/reference/scale.md
    make bench-scale BENCH="--case tree-64 --rounds 100"
    make bench-scale BENCH="--case tree-8 --case arrival-1MB --repeats 1"

After the cases comes a table of the bounds (``musts.py``, ``SCALE``) that they say something
about. Exits with 1 if a bound is missed or a case failed. The page says what the figures mean.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import page
from arrival import Arrival
from plan import Plan
from simulated import CASES as SIMULATED
from suite import Suite
from tls import TlsFolder
from tree import TreeBesideFlat

_ECHO: Final = ("import numpy", {"MODEL_MB": 0.01})
_TORCH: Final = ("import torch, sklearn.datasets", {"LOCAL_EPOCHS": 1})
CASES: Final[Mapping[str, Callable[[Plan], dict[str, Any]]]] = {
    "tree-8": TreeBesideFlat(combiners=2, sessions=4, rounds=10, repeats=1),
    "tree-64": TreeBesideFlat(combiners=4, sessions=16, rounds=40, repeats=3),
    "arrival-1MB": Arrival("echo", 1, *_ECHO),
    "arrival-20MB": Arrival("echo", 20, *_ECHO, repeats=7),
    "arrival-20MB-torch": Arrival("breast_cancer", 20, *_TORCH, repeats=3),
    **SIMULATED,
}


def main() -> None:
    """Measure the chosen cases, print one JSON object a case, and judge them."""
    arguments = _arguments()
    names = arguments.case or [name for name in CASES if name in page.BENCH_SCALE.judged]
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as folder:
        plan = Plan(arguments.rounds, arguments.repeats, TlsFolder(Path(folder)))
        suite = Suite(page.BENCH_SCALE, CASES)
        sys.exit(suite.perform(list(dict.fromkeys(names)), plan, write=arguments.write))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=list(CASES), help="repeatable")
    parser.add_argument("--rounds", type=int, help="rounds of each federation")
    parser.add_argument("--repeats", type=int, help="turns of flat and tree; new clients")
    parser.add_argument("--write", action="store_true", help="write the table into the page")
    arguments = parser.parse_args()
    try:
        page.BENCH_SCALE.check()
    except ValueError as error:
        parser.error(str(error))
    return arguments


if __name__ == "__main__":
    main()
