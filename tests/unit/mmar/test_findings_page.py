# SPDX-License-Identifier: Apache-2.0
"""The page of findings and the table of codes say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mmar_runner.mmar.codes import CODES
from mmar_runner.mmar.mends import MENDS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "findings.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (MMAR\d{3})\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE))


def test_there_is_a_section_for_every_code_in_order():
    assert list(SECTIONS) == list(CODES)


@pytest.mark.parametrize("code", CODES)
def test_a_section_has_title_severity_cause_example_and_mend(code):
    entry = CODES[code]
    severity = entry.severity + (", old archive" if entry.old_archive else "")

    title, cause, rest = SECTIONS[code].strip().split("\n\n")

    assert title == f"**{entry.title}** ({severity})"
    assert cause.strip()
    assert re.fullmatch(r"- Example: .+\n- Mend: .+", rest)


def test_the_page_and_the_table_of_mends_say_the_same():
    mends = {code: re.search(r"- Mend: (.+)", text)[1] for code, text in SECTIONS.items()}

    assert mends == dict(MENDS)


def test_every_code_is_used_and_no_other():
    rooms = [ROOT / "mmar_runner" / room for room in ("mmar", "documents", "deep")]
    used = {
        code
        for room in rooms
        for path in room.rglob("*.py")
        if path.name not in {"codes.py", "mends.py"}
        for code in re.findall(r"MMAR\d{3}", path.read_text(encoding="utf-8"))
    }

    assert used == set(CODES)
