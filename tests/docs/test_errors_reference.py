# SPDX-License-Identifier: Apache-2.0
"""The page of reason ids is held to the code, in both directions."""

import ast
import re
from pathlib import Path

import pytest

from mmar_runner.wire.status import STATUS_OF_REASON
from tests.docs import reasons

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"
ROW = re.compile(r"^\| `([A-Z0-9_]+)` \| (?:`([A-Z_]+)`)? ?\| (.+) \| (.+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def rows():
    return [match.groups() for match in ROW.finditer(PAGE.read_text())]


def test_every_reason_of_the_code_is_on_the_page(rows):
    in_code = reasons.reason_ids() | set(STATUS_OF_REASON)
    assert in_code - {reason for reason, *_ in rows} == set()


def test_the_page_names_no_reason_that_nothing_gives(rows):
    assert {reason for reason, *_ in rows} - reasons.reason_ids() == set()


def test_no_status_is_kept_for_a_reason_that_nothing_gives():
    elsewhere = reasons.reason_ids(tables=False)
    assert set(STATUS_OF_REASON) - elsewhere == set()


def test_every_reason_has_one_row_with_its_status(rows):
    names = [reason for reason, *_ in rows]
    assert len(names) == len(set(names))
    assert {reason: status for reason, status, *_ in rows if status} == {
        reason: code.name for reason, code in STATUS_OF_REASON.items()
    }


def test_every_row_of_a_table_was_read(rows):
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert len(lines) == len(rows)


def test_every_exit_code_but_1_stands_in_the_row_of_its_reason(rows):
    """Of two refusals alike one ended with 1 and the other with 2, and no page said so."""
    said = {
        reason: int(code[1])
        for reason, _, meaning, _ in rows
        if (code := re.search(r"exit code (\d+)", meaning)) and reason != "INTERNAL"
    }
    assert said == {**reasons.exit_codes(), "KIT_INCOMPLETE": 2}  # that one is 1 of a real kit


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('raise KitError("no", reason="ONE_WAY")', {"ONE_WAY"}),
        (
            'raise KitError("no", reason="ONE_WAY" if late else "OTHER_WAY")',
            {"ONE_WAY", "OTHER_WAY"},
        ),
        ('class E(Exception):\n    default_reason: str = "ONE_WAY"', {"ONE_WAY"}),
        ('REASON = "ONE_WAY"', {"ONE_WAY"}),
        ('def no(rule, reason): ...\nno("NOT_IT", "ONE_WAY")', {"ONE_WAY"}),
        (
            'def f():\n    all = [("ONE_WAY", 1)]\n    return [g(reason) for reason, n in all]',
            {"ONE_WAY"},
        ),
        ('def f():\n    reason = "ONE_WAY"\n    g(reason)', {"ONE_WAY"}),
        ('NAME = "NOT_IT"\nraise KitError("NOT_IT")', set()),
    ],
    ids=["keyword", "choice", "class", "constant", "helper", "pairs", "local", "others"],
)
def test_every_way_to_give_a_reason_is_seen(source, found):
    assert reasons.reason_ids([ast.parse(source)]) == found
