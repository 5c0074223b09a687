# SPDX-License-Identifier: Apache-2.0
"""Tables of bounds: as they are printed, and as they stand on pages of docs/reference/."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from musts import MUSTS, SCALE, Must

if TYPE_CHECKING:
    from collections.abc import Sequence

    from musts import Figures

ROOT: Final = Path(__file__).resolve().parent.parent
NOT_MEASURED: Final = "not measured"
FAILED: Final = "failed"
_NO: Final = "**no**"
_NOTHING: Final = "-"
_HEAD: Final = "| what | case | seen | must | met | aim |\n|---|---|---|---|---|---|\n"


def machine() -> dict[str, Any]:
    """Return what the figures depend on besides the program."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages / 2**30, 1),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "grpcio": version("grpcio"),
        "commit": _commit(),
        "load_before": round(os.getloadavg()[0], 2),
    }


@dataclass(frozen=True, slots=True)
class Sheet:
    """Some bounds, and the page on which the table of them stands between two markers.

    Attributes:
        goal: What of `make` measures them.
        page: The page.
        musts: The bounds.
    """

    goal: str
    page: Path
    musts: tuple[Must, ...]

    @property
    def begin(self) -> str:
        """The marker before the table."""
        return f"<!-- written by make {self.goal}: begin -->\n"

    @property
    def end(self) -> str:
        """The marker after it."""
        return f"<!-- written by make {self.goal}: end -->\n"

    @property
    def judged(self) -> frozenset[str]:
        """The cases that at least one bound stands on."""
        return frozenset(case for must in self.musts for case in must.measured)

    def table(self, figures: Figures, *, whole: bool) -> str:
        """Return the table as Markdown; nothing if no bound has a figure and it is not `whole`.

        Args:
            figures: What was measured, by case.
            whole: Bounds without a figure have a row too, which says so.
        """
        rows = [row for must in self.musts if (row := _row(must, figures, whole=whole))]
        return _HEAD + "".join(rows) if rows else ""

    def missed(self, figures: Figures) -> list[Must]:
        """Return the bounds that were measured and not kept."""
        return [
            must
            for must in self.musts
            if (seen := must.seen(figures)) is not None and not must.reached(seen, must.must)
        ]

    def section(
        self, figures: Figures, options: Sequence[str], about: dict[str, Any], seconds: float
    ) -> str:
        """Return what stands between the page's markers.

        Args:
            figures: What was measured, by case.
            options: What the program was told.
            about: What `machine` returned before the first case.
            seconds: How long it all took.
        """
        asked = " ".join(options)
        today = datetime.now(UTC).date().isoformat()
        return (
            f'`make {self.goal} BENCH="{asked}"`, {today}, {seconds / 60:.0f} minutes, at commit'
            f" {about['commit']}: {about['cores']} cores, {about['memory_gib']:g} GiB,"
            f" {about['machine']}, Linux {about['kernel']}, Python {about['python']},"
            f" grpcio {about['grpcio']}; load before it began {about['load_before']:g}.\n\n"
            f"{self.table(figures, whole=True)}"
        )

    def write(self, text: str) -> None:
        """Put a text between the markers of the page.

        Raises:
            ValueError: The page does not have each marker once, in their order.
        """
        before, after = self._around()
        self.page.write_text(f"{before}{self.begin}\n{text}\n{self.end}{after}")

    def check(self) -> None:
        """Raise now what `write` would raise after the measuring.

        Raises:
            ValueError: The page does not have each marker once, in their order.
        """
        self._around()

    def _around(self) -> tuple[str, str]:
        before, begin, rest = self.page.read_text().partition(self.begin)
        _, end, after = rest.partition(self.end)
        if not (begin and end) or self.begin in after or self.end in after:
            markers = f"{self.begin.strip()} and {self.end.strip()}"
            raise ValueError(f"{self.page} does not have {markers} once")
        return before, after


_PAGES: Final = ROOT / "docs" / "reference"
#: What a round costs.
BENCH: Final = Sheet("bench", _PAGES / "performance.md", MUSTS)
#: How far a federation grows.
BENCH_SCALE: Final = Sheet("bench-scale", _PAGES / "scale.md", SCALE)


def _row(must: Must, figures: Figures, *, whole: bool) -> str:
    seen = must.seen(figures)
    failed = any("error" in figures.get(case, {}) for case in must.measured)
    if seen is None and not whole and not failed:
        return ""
    shown, met = (FAILED, _NO) if failed else (NOT_MEASURED, _NOTHING)
    aim = _NOTHING if must.aim is None else must.bound(must.aim)
    if seen is not None:
        shown = must.written(seen)
        met = "yes" if must.reached(seen, must.must) else _NO
        aim += ", reached" if must.aim is not None and must.reached(seen, must.aim) else ""
    cases = ", ".join(f"`{case}`" for case in must.measured)
    return f"| {' | '.join((must.row, cases, shown, must.bound(must.must), met, aim))} |\n"


def _commit() -> str:
    """Return the commit that is measured, with a word if files differ from it."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit} with changes" if changed else commit


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *arguments],  # noqa: S607 - whichever git there is
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
