# SPDX-License-Identifier: Apache-2.0
"""Reports as workflow commands, which CI services show beside the line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from mmar_runner.documents.words import printable
from mmar_runner.mmar.codes import Severity

if TYPE_CHECKING:
    from mmar_runner.mmar.finding import Finding
    from mmar_runner.mmar.reports.report import Report

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def render_github(reports: Sequence[Report]) -> str:
    """Return one ``::error file=...::`` line for each finding."""
    return "\n".join(_line(report, f) for report in reports for f in report.findings)


def _line(report: Report, finding: Finding) -> str:
    properties = {"file": PurePath(report.mmar, finding.file).as_posix(), "title": finding.code}
    if finding.line:
        properties |= {"line": str(finding.line), "col": str(finding.column)}
    listed = ",".join(f"{key}={_escape(value, ':,')}" for key, value in properties.items())
    text = f"{finding.message} {finding.hint}" if finding.hint else finding.message
    return f"::{_COMMANDS[finding.severity]} {listed}::{_escape(text)}"


def _escape(text: str, more: str = "") -> str:
    """Escape what would end the command, as the format demands, and what a terminal obeys."""
    text = "\n".join(map(printable, text.split("\n")))
    for character in "%\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
