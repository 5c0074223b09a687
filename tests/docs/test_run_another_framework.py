# SPDX-License-Identifier: Apache-2.0
"""The page about another framework, followed to the letter; and the numbers of the reference."""

import json
from pathlib import Path

import pytest

from mmar_runner.interfaces.entry_points import (
    DEFAULT_SECONDS,
    ENTRY_POINTS,
    MAX_FILE_BYTES,
)
from mmar_runner_entry_points import outcome, output, surroundings
from tests.docs.test_run_old_custom_code import FENCE, run

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "how-to" / "run-another-framework.md"
REFERENCE = (DOCS / "reference" / "entry-points.md").read_text()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_page_works(tmp_path):
    said = {}
    for language, action, path, text in FENCE.findall(PAGE.read_text()):
        if action == "write":
            (tmp_path / path).write_text(text)
        elif language == "sh":
            said[text] = run(text, tmp_path)
    assert said["mmar-runner validate-mmar study\n"].count("MMAR670") == 3
    summary = json.loads((tmp_path / "workspace/study/run_1/summary.json").read_text())
    assert (summary["status"], len(summary["rounds"])) == ("finished", 3)
    # The sites' means are 1 and 2: the federation's comes closer to 1.5 by half each round.
    measured = [entry["metrics"]["val_first"] for entry in summary["rounds"]]
    assert measured == [0.0, 0.75, 1.125]


def test_the_reference_has_the_numbers_of_the_code():
    assert f"| seconds | {DEFAULT_SECONDS:.0f} |" in REFERENCE
    assert f"at most {MAX_FILE_BYTES // 1024} KiB" in REFERENCE
    assert outcome._JSON_BYTES == surroundings.LOG_BYTES == 1 << 20
    assert "at most 1 MiB" in REFERENCE
    assert "the first MiB is kept" in REFERENCE
    assert f"{output._TAIL_BYTES // 1024} KiB" in REFERENCE
    assert all(f"`{name}`" in REFERENCE for name in ENTRY_POINTS)
