# SPDX-License-Identifier: Apache-2.0
"""The table of bounds: as it is printed, and as it stands in docs/reference/performance.md."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from musts import MUSTS, Must

if TYPE_CHECKING:
    from collections.abc import Sequence

    from musts import Figures

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "reference" / "performance.md"
BEGIN: Final = "<!-- written by make bench: begin -->\n"
END: Final = "<!-- written by make bench: end -->\n"
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


def table(figures: Figures, *, whole: bool) -> str:
    """Return the table as Markdown; nothing if no bound has a figure and it is not `whole`.

    Args:
        figures: What was measured, by case.
        whole: Bounds without a figure have a row too, which says so.
    """
    rows = [row for must in MUSTS if (row := _row(must, figures, whole=whole))]
    return _HEAD + "".join(rows) if rows else ""


def missed(figures: Figures) -> list[Must]:
    """Return the bounds that were measured and not kept."""
    return [
        must
        for must in MUSTS
        if (seen := must.seen(figures)) is not None and not must.reached(seen, must.must)
    ]


def section(figures: Figures, options: Sequence[str], about: dict[str, Any], seconds: float) -> str:
    """Return what stands between the page's markers.

    Args:
        figures: What was measured, by case.
        options: What `bench.py` was told.
        about: What `machine` returned before the first case.
        seconds: How long it all took.
    """
    asked = " ".join(options)
    today = datetime.now(UTC).date().isoformat()
    return (
        f'`make bench BENCH="{asked}"`, {today}, {seconds / 60:.0f} minutes, at commit'
        f" {about['commit']}: {about['cores']} cores, {about['memory_gib']:g} GiB,"
        f" {about['machine']}, Linux {about['kernel']}, Python {about['python']},"
        f" grpcio {about['grpcio']}; load before it began {about['load_before']:g}.\n\n"
        f"{table(figures, whole=True)}"
    )


def write(text: str, page: Path | None = None) -> None:
    """Put a text between the markers of the page.

    Raises:
        ValueError: The page does not have each marker once, in their order.
    """
    page = page or PAGE
    before, after = _around(page)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def check(page: Path | None = None) -> None:
    """Raise now what `write` would raise after the measuring.

    Raises:
        ValueError: The page does not have each marker once, in their order.
    """
    _around(page or PAGE)


def _around(page: Path) -> tuple[str, str]:
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in after or END in after:
        raise ValueError(f"{page} does not have {BEGIN.strip()} and {END.strip()} once")
    return before, after


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
