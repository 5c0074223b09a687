# SPDX-License-Identifier: Apache-2.0
"""Searches every target in turn: ``python -m tests.fuzz.search --seconds 3600``.

The time is divided over the targets; each has a process of its own, with limits of time and
memory. What was covered stays in a corpus that the next search begins with; what was found is
written to a folder, and goes to ``tests/fuzz/findings`` once it is mended.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.catalog import FAMILY_OF, TARGETS
from tests.fuzz.target import GIVEN_UP_SECONDS, HERE, MOST_MEMORY_MIB, SEEDS, Target

WORK: Final = HERE.parent.parent / ".fuzz"
_EDGES: Final = re.compile(r"cov: (\d+)")
_RUNS: Final = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_PROGRESS: Final = re.compile(r"^#(\d+)\s", re.MULTILINE)
_RAISED: Final = re.compile(r"=== Uncaught Python exception: ===\n(.+)")


@dataclass(frozen=True)
class Searched:
    """What came of the search of one target.

    Attributes:
        target: Its name.
        seconds: How long it was searched, in seconds of wall time.
        executions: How many inputs were tried.
        edges: How many branches of the program they covered.
        found: The file of the finding, or empty.
        what: The exception, or what else was wrong.
    """

    target: str
    seconds: float
    executions: int
    edges: int
    found: str
    what: str


def search(
    target: Target, seconds: int, work: Path, program: str = "tests.fuzz.guided"
) -> Searched:
    """Search one target in a process of its own.

    Args:
        target: The target.
        seconds: For how long.
        work: Where corpora and findings are kept.
        program: The module that searches.
    """
    corpus, found = work / "corpus" / target.name, work / "found"
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    tokens = work / f"{target.name}.dict"
    tokens.write_text("".join(f'"{_escaped(token)}"\n' for token in target.tokens))
    command = [
        *(sys.executable, "-m", program, FAMILY_OF[target.name], target.name, str(corpus)),
        *(str(SEEDS / target.name), f"-dict={tokens}", f"-max_len={target.longest}"),
        *(f"-max_total_time={seconds}", f"-timeout={GIVEN_UP_SECONDS}"),
        *(f"-rss_limit_mb={MOST_MEMORY_MIB}", f"-artifact_prefix={found}/{target.name}."),
        "-print_final_stats=1",
    ]
    before = set(found.iterdir())
    begun = time.monotonic()
    done = subprocess.run(
        command,
        cwd=HERE.parent.parent,
        env={**os.environ, "TMPDIR": str(work)},
        capture_output=True,
        check=False,
        text=True,
        errors="replace",
    )
    said = done.stdout + done.stderr
    (work / f"{target.name}.log").write_text(said)
    new = set(found.iterdir()) - before
    return _told(target, said, time.monotonic() - begun, done.returncode, new)


def _told(target: Target, said: str, seconds: float, code: int, new: set[Path]) -> Searched:
    runs = _RUNS.findall(said) or _PROGRESS.findall(said) or ["0"]
    edges = _EDGES.findall(said) or ["0"]
    raised = _RAISED.search(said)
    what = raised[1][:200] if raised else f"exit code {code}" if code else ""
    path = str(min(new)) if new else ""
    return Searched(target.name, round(seconds, 1), int(runs[-1]), int(edges[-1]), path, what)


def _escaped(token: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in token[:64])


def main() -> int:
    """Search, print one JSON object a target, and return 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600, help="for all targets together")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this one")
    parser.add_argument("--work", type=Path, default=WORK, help="for corpora and findings")
    asked = parser.parse_args()
    names = asked.target or sorted(TARGETS)
    results = []
    for name in names:
        results.append(search(TARGETS[name], max(1, asked.seconds // len(names)), asked.work))
        print(json.dumps(asdict(results[-1])), flush=True)  # noqa: T201 - it is what it is for
    return int(any(result.what for result in results))


if __name__ == "__main__":
    sys.exit(main())
