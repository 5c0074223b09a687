# SPDX-License-Identifier: Apache-2.0
"""Reports as SARIF 2.1.0, for code-scanning services and editors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mmar_runner.mmar.codes import CODES

if TYPE_CHECKING:
    from mmar_runner.mmar.finding import Finding
    from mmar_runner.mmar.reports.report import Report

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render_sarif(reports: Sequence[Report], *, version: str) -> str:
    """Return reports as one SARIF log with one run.

    Args:
        reports: The reports; paths are relative to where ``Report.mmar`` is relative to.
        version: This program's version.
    """
    findings = [(report, finding) for report in reports for finding in report.findings]
    used = sorted({finding.code for _, finding in findings})
    driver = {"name": "mmar-runner", "version": version, "rules": [_rule(code) for code in used]}
    results = [_result(report, finding, used.index(finding.code)) for report, finding in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(code: str) -> dict[str, Any]:
    return {
        "id": code,
        "shortDescription": {"text": CODES[code].title},
        "defaultConfiguration": {"level": CODES[code].severity},
    }


def _result(report: Report, finding: Finding, index: int) -> dict[str, Any]:
    text = f"{finding.message} {finding.hint}" if finding.hint else finding.message
    uri = quote(PurePath(report.mmar, finding.file).as_posix())
    location: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if finding.line:
        location["region"] = {"startLine": finding.line, "startColumn": finding.column}
    place: dict[str, Any] = {"physicalLocation": location}
    if finding.pointer:
        place["logicalLocations"] = [{"fullyQualifiedName": finding.pointer, "kind": "member"}]
    return {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": text},
        "locations": [place],
    }
