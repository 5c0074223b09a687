# SPDX-License-Identifier: Apache-2.0
"""Pages of runs that a server and its clients really did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from mmar_runner.cli.main import main
from mmar_runner.documents.schema_store import load_schema
from tests.unit.reporting.pages import Page, check

MMARS = Path(__file__).parents[3] / "mmars"


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory):
    """Run both samples once."""
    place = tmp_path_factory.mktemp("runs")
    for name in ("echo", "breast_cancer"):
        words = [
            "simulate",
            MMARS / name,
            "--clients",
            3,
            "--rounds",
            3,
            "--workspace",
            place / name,
        ]
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words), "--json"])
        assert not ended.value.code
    return place


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "metric"), [("echo", "val_first_value"), ("breast_cancer", "val_auc")]
)
def test_the_page_says_what_the_summary_says(workspaces, name, metric, capsys):
    run = workspaces / name / "run_1"
    with pytest.raises(SystemExit) as ended:
        main(["report", str(run), "--json"])
    assert not ended.value.code
    answer = json.loads(capsys.readouterr().out)
    Draft202012Validator(load_schema("report")).validate(answer)
    assert (answer["status"], answer["rounds"], answer["sites"]) == ("finished", 3, 3)
    assert answer["notes"] == []
    page = Page(run / "report.html")
    check(page)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["mmar"]["digest"] in page.text
    for one in summary["rounds"]:
        assert one["model_sha256"] in page.text
        assert f"averaged, round {one['round']}: {one['metrics'][metric]:.4g}" in page.text
    assert f"{metric}, the result of round {summary['best_round']}" in page.text
    assert "of 3 planned" in page.text
    assert "a simulation on one machine" in page.text
