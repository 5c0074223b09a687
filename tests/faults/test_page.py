# SPDX-License-Identifier: Apache-2.0
"""The page keeps what was not played this time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.faults import page
from tests.faults.cases import CASES

ROW = page.Row("F02", "killed | early", "lives", "9/10", "1.0 s", "as listed", "L", "L")


def test_rows_of_other_cases_stay_and_this_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "faults.md"
    page.write(ROW, path)
    page.write(replace(ROW, name="F01"), path)
    page.write(replace(ROW, survived="10/10"), path)
    rows = [line for line in path.read_text().splitlines() if line.startswith("| F")]
    assert [row.split(" | ")[0] for row in rows] == ["| F01", "| F02"]
    assert [row.split(" | ")[3] for row in rows] == ["9/10", "10/10"]
    assert "killed / early" in rows[0], "a bar would be another column"


def test_the_page_that_is_kept_knows_every_case_and_no_other() -> None:
    rows = page.PAGE.read_text().splitlines()
    named = {row.split(" | ")[0].removeprefix("| ") for row in rows if row.startswith("| ")}
    assert named - {"case"} == set(CASES)


def test_every_listed_fault_is_a_case() -> None:
    numbers = [1, 2, 3, 4, 6, 7, 9, 10, 11, 12, 13, 14, 15, 17, 18, 20, 22, 23, 24]
    assert {f"F{number:02d}" for number in numbers} <= set(CASES)
