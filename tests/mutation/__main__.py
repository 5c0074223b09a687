# SPDX-License-Identifier: Apache-2.0
"""Tries mutants of rooms or modules and writes what became of each, a JSON object a line.

``make mutants`` starts it; ``python -m tests.mutation --help`` says with what.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.mutation import forks
from tests.mutation.explained import explanations
from tests.mutation.mutations import Mutant, mutants_of
from tests.mutation.session import (
    OPTIONS,
    PACKAGE,
    Touched,
    Watch,
    be_the_same_every_time,
    try_in_functions,
    try_in_module,
)

#: The tests of a room.
TESTS = {
    "federation": ["tests/unit/federation", "tests/property/test_round_machine.py"],
    "security": ["tests/unit/security"],
    "mmar": ["tests/unit/mmar", "tests/broken_mmars"],
}


#: How a mutant ends that asks for an assertion, or for an explanation.
NOT_NOTICED = frozenset({"survived", "no tests", "broken"})


class Trial:
    """Tries mutants one after the other and writes a line about each.

    Args:
        mutants: Which.
        out: Where the lines go.
    """

    def __init__(self, mutants: Sequence[Mutant], out: Path) -> None:
        self._mutants = mutants
        self._out = out
        self._explained = explanations()

    def run(self, tests: Sequence[str]) -> None:
        """Try all with these tests."""
        with tempfile.NamedTemporaryFile("r+") as later:

            def session() -> int:
                watch = Watch(partial(self._in_functions, later))
                pytest.main([*OPTIONS, *tests], plugins=[watch])
                return forks.SURVIVED if watch.done else forks.BROKEN

            # In a process of its own, so that this one stays without the package.
            if forks.ending_of(session, cpu=86400, wall=86400) != "survived":
                raise SystemExit("the tests could not be collected, or the trial was ended")
            later.seek(0)
            for index, names in map(json.loads, later):
                self._try(self._mutants[index], names, partial(try_in_module, names=names), 20)

    def _in_functions(
        self,
        later: Any,
        touched: Touched,
        items: dict[str, pytest.Item],
        reports: list[pytest.TestReport],
    ) -> None:
        for name, why in touched.left_out.items():
            say(f"left out: {name} ({why})")
        for index, mutant in enumerate(self._mutants):
            names = touched.tests_for(mutant)
            seconds = int(sum(touched.seconds[name] for name in names) * 3)
            chosen = [items[name] for name in names]
            tried = mutant.function and self._try(
                mutant, names, partial(try_in_functions, items=chosen, reports=reports), seconds + 3
            )
            if not tried:
                later.write(json.dumps([index, names]) + "\n")
                later.flush()

    def _try(self, mutant: Mutant, names: Sequence[str], work: Any, seconds: int) -> bool:
        """Try one mutant and write about it; False if it cannot be tried in this way."""
        ending = "no tests"
        if names:
            ending = forks.ending_of(lambda: work(mutant), cpu=seconds, wall=seconds * 10 + 30)
        if ending == "unchanged":
            return False
        found = (mutant.module, mutant.text, mutant.change)
        if ending in {"survived", "no tests"} and any(e.fits(*found) for e in self._explained):
            ending = "explained"
        line = dict(zip(("module", "text", "change"), found, strict=True))
        with self._out.open("a", encoding="utf-8") as out:
            more = {"line": mutant.line, "tests": len(names), "ending": ending}
            out.write(json.dumps({**line, **more}) + "\n")
        return True


def say(text: str) -> None:
    """Tell whoever watches."""
    sys.stderr.write(text + "\n")


def chosen(names: Sequence[str]) -> list[Mutant]:
    """Return the mutants of rooms, folders or modules, such as ``security/policy``."""
    paths: list[Path] = []
    for name in names:
        place = PACKAGE / name.replace(".", "/")
        found = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        paths += [path for path in found if path not in paths]
    return [mutant for path in paths for mutant in mutants_of(path)]


def not_noticed(mutants: Sequence[Mutant], file: Path) -> list[Mutant]:
    """Return the mutants that no test noticed when they were tried before.

    Args:
        mutants: All there are now.
        file: What ``--out`` wrote then.
    """
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    left = {(ln["module"], ln["text"], ln["change"]) for ln in lines if ln["ending"] in NOT_NOTICED}
    return [mutant for mutant in mutants if (mutant.module, mutant.text, mutant.change) in left]


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Return how many mutants of each module ended how, as a table of Markdown."""
    endings = ("killed", "timeout", "survived", "no tests", "explained", "broken")
    rows = [f"| module | mutants | {' | '.join(endings)} |", "|---|" + "---:|" * 7]
    modules = sorted({line["module"] for line in lines})
    for module in [*modules, "all"]:
        ended = Counter(ln["ending"] for ln in lines if module in {ln["module"], "all"})
        numbers = [ended.total(), *(ended[ending] for ending in endings)]
        rows.append(f"| {module} | {' | '.join(map(str, numbers))} |")
    return "\n".join(rows)


def main() -> int:
    """Parse, try, print; 1 if a mutant survives that is not explained."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("names", nargs="*", default=["federation"], help="rooms or modules")
    parser.add_argument("--sample", type=int, help="try so many of them")
    parser.add_argument("--seed", type=int, default=0, help="which sample")
    parser.add_argument("--again", type=Path, help="only those that were not noticed in this file")
    parser.add_argument("--tests", nargs="*", help="use these tests, not all of the room")
    parser.add_argument("--out", type=Path, default=Path("mutants.jsonl"))
    asked = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of a set is the same every time
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.mutation", *sys.argv[1:]])  # noqa: S606
    be_the_same_every_time()
    mutants = chosen(asked.names)
    if asked.again is not None:
        mutants = not_noticed(mutants, asked.again)
    count = len(mutants)
    if asked.sample is not None and asked.sample < count:
        picked = random.Random(asked.seed).sample(range(count), asked.sample)
        mutants = [mutants[index] for index in sorted(picked)]
    rooms = sorted({mutant.module.partition(".")[0] for mutant in mutants})
    tests = asked.tests or [path for room in rooms for path in TESTS[room]]
    say(f"{len(mutants)} of {count} mutants, with {' '.join(tests)}")
    begun = time.monotonic()
    asked.out.write_text("")
    Trial(mutants, asked.out).run(tests)
    lines = [json.loads(line) for line in asked.out.read_text().splitlines()]
    for line in lines:
        if line["ending"] in NOT_NOTICED:
            say("{ending}: {module}:{line}: {text}\n    {change}".format(**line))
    sys.stdout.write(table(lines) + "\n")
    say(f"{time.monotonic() - begun:.0f} s, {os.times().children_user:.0f} s of computing")
    return int(any(line["ending"] in NOT_NOTICED for line in lines))


if __name__ == "__main__":
    sys.exit(main())
