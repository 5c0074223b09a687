# SPDX-License-Identifier: Apache-2.0
"""Reports as JSON, by the schema ``validate_report``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmar_runner.mmar.finding import Finding
    from mmar_runner.mmar.reports.report import Report


def render_json(reports: Sequence[Report]) -> str:
    """Return one report as an object, several as a list of them."""
    values = [as_json(report) for report in reports]
    return json.dumps(values[0] if len(values) == 1 else values, indent=2, ensure_ascii=False)


def as_json(report: Report) -> dict[str, Any]:
    """Return a report as a JSON object."""
    shown: dict[str, Any] = {
        "mmar": report.mmar,
        "generation": report.generation,
        "valid": report.valid,
        "deployable": report.deployable,
        "byoc": report.byoc,
        "custom_datalist": report.custom_datalist,
        "digest": report.digest,
        "findings": [finding_json(finding) for finding in report.findings],
    }
    if report.deep is not None:
        # Imported here because an ordinary check, which should take no time, has none.
        from mmar_runner.mmar.reports.deep import deep_json  # noqa: PLC0415

        shown["deep"] = deep_json(report.deep)
    return shown


def finding_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as a JSON object."""
    return {
        "code": finding.code,
        "severity": finding.severity,
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "pointer": finding.pointer,
        "message": finding.message,
        "hint": finding.hint,
    }
