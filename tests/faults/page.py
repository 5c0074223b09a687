# SPDX-License-Identifier: Apache-2.0
"""The page ``docs/reference/faults.md``: rows that were not played stay as they were."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "faults.md"

_HEAD = """# Faults: what was tried, and what was lost

    make faults                                     # every case, 10 seeds each; hours
    make faults FAULTS="--case F04 --seeds 3"       # one case
    make faults FAULTS="--case F04 --seed 7 --keep" # one seed again, and its files

Each case runs a real server and real clients as processes, hurts them at moments that its
seed draws, and must then find: the run finished by itself; each update that was acknowledged
counted exactly once (the journal is replayed by rules of the suite's own, and compared with
`events.jsonl`, `summary.json`, the model files and every receipt that a client saw); no
traceback anywhere; and, where every round had all its updates, the models of an undisturbed
run, bit for bit. Half of the seeds use TLS and start-up kits where the case allows it.

Moments are named [failpoints](../../tests/faults/moments.py), wrapped around the program's
functions by a launcher of the tests: nothing that is installed can switch one on. The network
is played by [a proxy](../../tests/faults/proxy.py), disks by small mounts (root) or by errors
that a write meets. [How the suite is built](../../tests/faults/README.md).

`--nominal` takes the durations of the fault as it is worded; otherwise some are shorter, as
the column says. The columns of NVFlare and Flower are what their code and documentation
promise (S survives, L loses the run or the round, ? not known), not what was measured.

"""
_COLUMNS = (
    "case",
    "fault",
    "expected",
    "survived",
    "observed",
    "durations",
    "NVFlare",
    "Flower",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One case, as the page shows it."""

    name: str
    fault: str
    expected: str
    survived: str
    observed: str
    durations: str
    nvflare: str
    flower: str

    def line(self) -> str:
        """Return the row of the table."""
        cells = (str(cell).replace("|", "/").replace("\n", " ") for cell in astuple(self))
        return f"| {' | '.join(cells)} |"


def write(row: Row, path: Path = PAGE) -> None:
    """Write the page with this row, and those that it had of other cases."""
    lines = {**_old_lines(path), row.name: row.line()}
    table = [f"| {' | '.join(_COLUMNS)} |", "|" + "---|" * len(_COLUMNS)]
    table += [lines[name] for name in sorted(lines)]
    path.write_text(_HEAD + _stamp() + "\n\n" + "\n".join(table) + "\n")


def _stamp() -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=path_of_repository(),
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    machine = f"{os.cpu_count()} cores, Linux {platform.release().split('-')[0]}"
    day = datetime.now(UTC).date().isoformat()
    return f"Last written on {day} at commit `{commit}` ({machine})."


def path_of_repository() -> Path:
    """Return the folder of the repository."""
    return Path(__file__).parents[2]


def _old_lines(path: Path) -> dict[str, str]:
    text = path.read_text() if path.exists() else ""
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return {line.split(" | ")[0].removeprefix("| "): line for line in rows[1:]}
