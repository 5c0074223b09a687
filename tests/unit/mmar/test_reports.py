# SPDX-License-Identifier: Apache-2.0
"""The four ways in which findings are written."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from mmar_runner.documents.schema_store import load_schema
from mmar_runner.mmar.codes import CODES, Severity
from mmar_runner.mmar.finding import Finding
from mmar_runner.mmar.reports.as_json import render_json
from mmar_runner.mmar.reports.github import render_github
from mmar_runner.mmar.reports.report import Report
from mmar_runner.mmar.reports.sarif import render_sarif
from mmar_runner.mmar.reports.text import render_text
from mmar_runner.mmar.spec import Generation

ERROR = Finding(
    "MMAR512",
    Severity.ERROR,
    "config/a b.json",
    14,
    9,
    "/aggregator/args/x",
    "Bad, 100%:\nso.",
    "Mend.",
)
WARNING = Finding(
    "MMAR301", Severity.WARNING, "config/z.json", 3, 12, "/v", "Nothing defines.", None
)
NOTE = Finding("MMAR614", Severity.NOTE, "custom/c.py", 0, 0, "", "Brings code.", None)


@pytest.fixture
def report():
    return Report(
        "mmars/job",
        Generation.CLARA_4,
        byoc=True,
        digest="ab" * 32,
        findings=(ERROR, WARNING, NOTE),
    )


def test_json_fits_its_schema_and_several_make_a_list(report):
    validator = Draft202012Validator(load_schema("validate_report"))
    one = json.loads(render_json([report]))
    two = json.loads(render_json([report, Report("other", valid=True)]))

    validator.validate(one)
    validator.validate(two)
    assert list(one) == [
        *("mmar", "generation", "valid", "deployable", "byoc", "custom_datalist", "digest"),
        "findings",
    ]
    assert list(one["findings"][0]) == [
        *("code", "severity", "file", "line", "column", "pointer", "message", "hint"),
    ]
    assert [value["mmar"] for value in two] == ["mmars/job", "other"]


def test_text_is_grouped_and_aligned_and_counted(report):
    lines = render_text([report]).splitlines()

    assert lines[0] == f"mmars/job: invalid (clara-4, brings code, sha256 {report.digest})"
    assert lines[2] == "  config/a b.json"
    assert lines[3].startswith("    14:9  error    MMAR512  Bad")
    assert "  config/z.json" in lines
    assert "    3:12  warning  MMAR301  Nothing defines. (/v)" in lines
    assert "    -     note     MMAR614  Brings code." in lines
    assert lines[-1] == "  1 error, 1 warning, 1 note"


def test_text_without_findings_is_one_line():
    assert render_text([Report("job", valid=True)]) == "job: valid"


def test_sarif_has_rules_results_and_regions(report):
    log = json.loads(render_sarif([report], version="1.2.3"))
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]

    assert (log["version"], run["tool"]["driver"]["version"]) == ("2.1.0", "1.2.3")
    assert [rule["id"] for rule in rules] == ["MMAR301", "MMAR512", "MMAR614"]
    assert [rules[r["ruleIndex"]]["id"] for r in run["results"]] == [
        r["ruleId"] for r in run["results"]
    ]
    assert [r["level"] for r in run["results"]] == ["error", "warning", "note"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "mmars/job/config/a%20b.json"
    assert place["region"] == {"startLine": 14, "startColumn": 9}
    assert "region" not in run["results"][2]["locations"][0]["physicalLocation"]


def test_annotations_escape_what_would_end_them(report):
    lines = render_github([report]).splitlines()

    assert lines == [
        (
            "::error file=mmars/job/config/a b.json,title=MMAR512,line=14,col=9::"
            "Bad, 100%25:%0Aso. Mend."
        ),
        "::warning file=mmars/job/config/z.json,title=MMAR301,line=3,col=12::Nothing defines.",
        "::notice file=mmars/job/custom/c.py,title=MMAR614::Brings code.",
    ]


def test_codes_are_grouped_and_titled():
    assert list(CODES) == sorted(CODES)
    for code, entry in CODES.items():
        assert code.startswith("MMAR")
        assert code[4] in "1234567"
        assert entry.title
        assert not entry.old_archive or entry.severity is Severity.WARNING
