# SPDX-License-Identifier: Apache-2.0
"""Reports for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from mmar_runner.documents.words import printable
from mmar_runner.mmar.codes import Severity

if TYPE_CHECKING:
    from mmar_runner.mmar.finding import Finding
    from mmar_runner.mmar.reports.report import Report

#: Colours a word by its severity; the default leaves it plain.
Paint = Callable[[str, Severity], str]


def render_text(reports: Sequence[Report], paint: Paint = lambda text, _: text) -> str:
    """Return reports as text, findings grouped by file, places and codes aligned."""
    return "\n\n".join(_report(report, paint) for report in reports)


def _report(report: Report, paint: Paint) -> str:
    lines = [_headline(report, paint)]
    width = max((len(_place(f)) for f in report.findings), default=0)
    for file, findings in groupby(report.findings, key=lambda f: f.file):
        lines += ["", f"  {printable(file or report.mmar)}"]
        for finding in findings:
            lines += _finding(finding, width, paint)
    if report.findings:
        lines += ["", f"  {_counts(report)}"]
    if report.deep is not None and (report.deep.networks or report.deep.figures):
        # Imported here because an ordinary check, which should take no time, has none.
        from mmar_runner.mmar.reports.deep import deep_lines  # noqa: PLC0415

        lines += ["", *(f"  {printable(line)}".rstrip() for line in deep_lines(report.deep))]
    return "\n".join(lines)


def _headline(report: Report, paint: Paint) -> str:
    verdict = paint("valid", Severity.NOTE) if report.valid else paint("invalid", Severity.ERROR)
    facts = [str(report.generation)] if report.generation else []
    facts += ["brings code"] if report.byoc else []
    facts += ["brings a data list"] if report.custom_datalist else []
    facts += [f"sha256 {report.digest}"] if report.digest else []
    return f"{printable(report.mmar)}: {verdict}" + (f" ({', '.join(facts)})" if facts else "")


def _place(finding: Finding) -> str:
    return f"{finding.line}:{finding.column}" if finding.line else "-"


def _finding(finding: Finding, width: int, paint: Paint) -> list[str]:
    severity = paint(f"{finding.severity.value:<7}", finding.severity)
    indent = " " * (4 + width + 2 + 7 + 2 + 7 + 2)
    place = f" ({finding.pointer})" if finding.pointer else ""
    said = printable(f"{finding.message}{place}")
    first = f"    {_place(finding):<{width}}  {severity}  {finding.code}  {said}"
    return [first, f"{indent}{printable(finding.hint)}"] if finding.hint else [first]


def _counts(report: Report) -> str:
    parts = []
    for severity in Severity:
        number = report.count(severity)
        parts.append(f"{number} {severity.value}{'' if number == 1 else 's'}")
    return ", ".join(parts)
