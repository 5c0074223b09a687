# SPDX-License-Identifier: Apache-2.0
"""The page of limits is held to the numbers in the code."""

import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "limits.md"
ROW = re.compile(r"^\| .+ \| ([0-9.]+)[^|]* \| .+ \| `([a-z_.]+):(\w+)` \|$", re.MULTILINE)
ROWS = [match.groups() for match in ROW.finditer(PAGE.read_text())]


def test_every_row_has_its_number():
    tables = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert len(ROWS) == sum("`mmar_runner." in line for line in tables) > 20


@pytest.mark.parametrize(("number", "module", "name"), ROWS, ids=lambda part: part)
def test_the_number_is_that_of_the_code(number, module, name):
    assert float(number) == getattr(import_module(module), name)
