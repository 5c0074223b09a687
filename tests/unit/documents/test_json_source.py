# SPDX-License-Identifier: Apache-2.0
"""The JSON reader: positions, and what is wrong, all of it."""

from __future__ import annotations

import pytest

from mmar_runner.documents.json_reader import read_json
from mmar_runner.documents.limits import ReadingLimits


def problems(text, **limits):
    source = read_json(text, ReadingLimits(**limits))
    return [(p.code, *source.position(p.offset)) for p in source.problems]


def test_every_key_and_value_has_its_place():
    source = read_json('{\n  "a": [1,\n    {"b": "x"}],\n  "c": null\n}')

    assert source.problems == []
    assert source.locate(()) == (1, 1)
    assert source.locate(("a",), key=True) == (2, 3)
    assert source.locate(("a",)) == (2, 8)
    assert source.locate(("a", 1, "b")) == (3, 11)
    assert source.locate(("c",)) == (4, 8)
    assert source.locate(("a", 1, "nothing", 3)) == (3, 5)


def test_columns_count_characters_not_bytes():
    source = read_json('{"ä": "😀", "b": 1}')

    assert source.locate(("b",)) == (1, 17)


@pytest.mark.parametrize(
    ("text", "value", "place"),
    [
        ('{"a": 1,}', {"a": 1}, (1, 8)),
        ("[1, 2,]", [1, 2], (1, 6)),
        ('{"a": 1\n "b": 2}', {"a": 1, "b": 2}, (2, 2)),
        ("[1 2]", [1, 2], (1, 4)),
        ("[1,, 2]", [1, 2], (1, 4)),
        ('{"a" 1}', {"a": 1}, (1, 6)),
        ('{"a" = 1}', {"a": 1}, (1, 6)),
        ("{'a': 1}", {"a": 1}, (1, 2)),
        ("{a: 1}", {"a": 1}, (1, 2)),
        ('{"a": True}', {"a": True}, (1, 7)),
        ('{"a": None}', {"a": None}, (1, 7)),
        ('{"a": 1} // one', {"a": 1}, (1, 10)),
        ('{\n# one\n"a": 1}', {"a": 1}, (2, 1)),
        ('{"a": /* one */ 1}', {"a": 1}, (1, 7)),
        ('{"a": 1 /* one */}', {"a": 1}, (1, 9)),
        ('{"a": }', {"a": None}, (1, 2)),
        ('{"a": , "b": 1}', {"a": None, "b": 1}, (1, 2)),
        ('{"a": 1; "b": 2}', {"a": 1, "b": 2}, (1, 8)),
        ('{"a": 1, ...}', {"a": 1}, (1, 10)),
        ('{"a":\u00a01}', {"a": 1}, (1, 6)),
        ("{\u201ca\u201d: 1}", {"a": 1}, (1, 2)),
        ('["C:\\data"]', ["C:\\data"], (1, 5)),
        ('["a\tb"]', ["a\tb"], (1, 4)),
    ],
)
def test_a_slip_is_reported_and_read_as_it_was_meant(text, value, place):
    source = read_json(text)

    assert source.value == value
    assert source.reliable
    assert problems(text) == [("MMAR110", *place)]


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("", "MMAR110", (1, 1)),
        ("{", "MMAR110", (1, 2)),
        ('{"a": [1, 2}', "MMAR110", (1, 12)),
        ('{"a": [1, "b": 2}', "MMAR110", (1, 7)),
        ("  \n", "MMAR110", (1, 1)),
        ('{\n<<<<<<< HEAD\n"a": 1\n=======\n"a": 2\n>>>>>>> b\n}', "MMAR110", (2, 1)),
        ('{"a": 1 /* one', "MMAR110", (1, 9)),
        ('{"a"}', "MMAR110", (1, 5)),
        ('["abc\n"]', "MMAR110", (1, 2)),
        ("[1] 2", "MMAR110", (1, 5)),
        ("[[[[1]]]]", "MMAR115", (1, 4)),
        ("[1,2,3,4,5,6,7,8]", "MMAR116", (1, 14)),
    ],
)
def test_where_nothing_can_be_read_on_it_stops(text, code, place):
    source = read_json(text, ReadingLimits(json_depth=3, json_values=7))

    assert not source.reliable
    assert problems(text, json_depth=3, json_values=7) == [(code, *place)]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("NaN", "MMAR112"),
        ("-Infinity", "MMAR112"),
        ("1e999", "MMAR112"),
        ("01", "MMAR110"),
        ("+1", "MMAR110"),
        ("1.", "MMAR110"),
        (".5", "MMAR110"),
        ("0x10", "MMAR110"),
        ("9" * 400, "MMAR110"),
        ("yes", "MMAR110"),
    ],
)
def test_what_is_no_number_leaves_a_doubtful_value(number, code):
    source = read_json(f'{{"a": {number}, "b": 1}}')

    assert [p.code for p in source.problems] == [code]
    assert source.doubtful == {("a",)}
    assert source.value == {"a": None, "b": 1}


def test_of_a_key_that_stands_twice_the_last_counts():
    source = read_json('{"a": {"x": 1},\n "a": {"y": 2}}')

    assert source.value == {"a": {"y": 2}}
    assert [(p.code, source.position(p.offset)) for p in source.problems] == [("MMAR111", (2, 2))]
    assert "line 1" in source.problems[0].hint
    assert source.locate(("a", "y")) == (2, 13)
    assert ("a", "x") not in source.values


@pytest.mark.parametrize(
    ("written", "right"),
    [("012", "12"), ("0x1F", "31"), ("+3", "3"), (".5", "0.5"), ("5.", "5.0"), ("1_000", "1000")],
)
def test_a_number_of_another_language_has_its_mend(written, right):
    (problem,) = read_json(f'{{"a": {written}}}').problems

    assert problem.hint == f"Write {right}."


def test_what_a_key_held_first_is_kept():
    source = read_json('{"a": {"b": 1}, "a": {}}')

    assert source.overridden == {("a",): {"b": 1}}


def test_all_slips_are_reported_at_once_but_not_for_ever():
    found = problems("[1 2 3 'x' True,]")
    many = problems("[" + "1 " * 100 + "]", syntax_errors=5)

    assert len(found) == 7
    assert len(many) == 5


def test_half_a_surrogate_pair_is_refused():
    assert problems('["\\ud800"]') == [("MMAR110", 1, 2)]


def test_deep_nesting_does_not_exhaust_the_stack():
    assert problems("[" * 100_000)[0][0] == "MMAR115"


def test_half_a_surrogate_pair_is_no_value_that_anybody_goes_on_with():
    assert read_json('{"a": "\\ud800", "b": "x"}').doubtful == {("a",)}


@pytest.mark.parametrize(
    ("text", "column"), [('{"a": 12\0}', 9), ('{\0\0"a": 1}', 2), ('{"a": "x\0y"}', 9), ("{}\0", 3)]
)
def test_a_nul_byte_is_named_wherever_it_stands(text, column):
    source = read_json(text)

    (problem,) = source.problems
    assert source.position(problem.offset) == (1, column)
    assert "NUL" in problem.hint


def test_an_equals_sign_is_read_as_the_colon_that_was_meant():
    source = read_json('{"a" = 1}')

    assert source.value == {"a": 1}
    assert [p.hint for p in source.problems] == ["Write ':' in place of '='."]


@pytest.mark.parametrize("text", ['{"a": {"b": "c', '{"a": {"b": "c\n', '{"a": {"b": 1', '{"a": ['])
def test_where_a_file_ends_too_early_it_may_be_cut_off(text):
    (problem,) = read_json(text).problems
    assert "or take the whole file anew" in problem.hint


def test_a_string_that_is_not_closed_in_the_middle_is_no_end():
    (problem,) = read_json('{"a": "b,\n "c": 1}').problems
    assert problem.hint == "Add '\"'."
