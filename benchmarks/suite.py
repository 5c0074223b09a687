# SPDX-License-Identifier: Apache-2.0
"""Cases measured one after the other, printed as JSON lines, and judged by a table of bounds."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import page
from processes import ProcessFailedError

if TYPE_CHECKING:
    from page import Sheet
    from plan import Plan

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


@dataclass(frozen=True, slots=True)
class Suite:
    """Cases and the bounds that they are held to.

    Attributes:
        sheet: The bounds.
        cases: What can be measured, by name.
        named: A case's name among the bounds, given its name and its figures.
    """

    sheet: Sheet
    cases: Mapping[str, Callable[[Plan], dict[str, Any]]]
    named: Callable[[str, Mapping[str, Any]], str] = lambda name, _: name

    def perform(self, names: Sequence[str], plan: Plan, *, write: bool) -> bool:
        """Measure some cases, print one JSON object a case and line, and judge them.

        Args:
            names: Which.
            plan: How much of each.
            write: Put the table into the page.

        Returns:
            Whether a case failed or a bound is missed.
        """
        began, about = time.monotonic(), page.machine()
        print(json.dumps({"case": "machine", **about}), flush=True)
        figures = {}
        for name in names:
            found = _measure(name, self.cases[name], plan)
            figures[self.named(name, found)] = found
        if table := self.sheet.table(figures, whole=False):
            print(f"\n{table}", flush=True)
        if write:
            seconds = time.monotonic() - began
            self.sheet.write(self.sheet.section(figures, sys.argv[1:], about, seconds))
        missed = self.sheet.missed(figures)
        for must in missed:
            print(f"missed: {must.row}", file=sys.stderr)
        return bool(missed) or any("error" in found for found in figures.values())


def _measure(name: str, case: Callable[[Plan], dict[str, Any]], plan: Plan) -> dict[str, Any]:
    """Print a case's line and return its figures; one that failed has its ``error`` alone."""
    began = time.monotonic()
    try:
        figures: dict[str, Any] = _rounded(case(plan))
    except _FAILURES as error:  # half an hour of other figures is not lost for it
        said = f"{type(error).__name__}: {error}"
        figures = {"tls": plan.tls, "error": said[:_LONGEST_ERROR]}
    took = {"took_s": round(time.monotonic() - began, 1)}
    print(json.dumps({"case": name, **figures, **took}), flush=True)
    return figures


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value
