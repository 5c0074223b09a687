# SPDX-License-Identifier: Apache-2.0
"""Patterns, whole numbers and regular expressions, as schemas mean them."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmar_runner.documents.full_schema import errors
from mmar_runner.documents.patterns import found_in, may_explode
from mmar_runner.documents.quick_schema import surely_valid
from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema, schema_names


def patterns(schema):
    """Yield every pattern, at any depth."""
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        yield from schema.get("patternProperties", {})
    for inner in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(inner, dict | list):
            yield from patterns(inner)


ALL = sorted({pattern for name in schema_names() for pattern in patterns(load_schema(name))})
ENDING = [pattern for pattern in ALL if pattern.endswith("$")]


@pytest.mark.parametrize("pattern", ENDING)
def test_no_value_with_a_line_break_at_its_end_matches(pattern):
    @given(st.from_regex(pattern))
    def fits(value):
        bare = value.rstrip("\n")
        assert not found_in(pattern, f"{bare}\n")
        assert not surely_valid({"pattern": pattern}, f"{bare}\n", {})
        assert list(errors({"pattern": pattern}, f"{bare}\n"))
        assert found_in(pattern, bare)
        assert not list(errors({"pattern": pattern}, bare))

    fits()


def test_most_patterns_have_an_end():
    assert set(ALL) - set(ENDING) == {"^(_|//|#|comment)"}


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"a\$", "a$\n", True),  # an escaped one is a letter
        (r"[$]\n", "$\n", True),
        (r"[]$]\n", "$\n", True),
        (r"[^\]$]$", "a\n", True),  # the line break itself
        (r"^(a$|b)", "a\n", False),
        (r"^(a$|b)", "b\n", True),
    ],
)
def test_only_the_sign_for_the_end_is_read_strictly(pattern, text, found):
    assert found_in(pattern, text) is found


@pytest.mark.parametrize("judge", [partial(surely_valid, root={}), lambda s, v: not faults(s, v)])
def test_keys_are_compared_as_strictly_as_values(judge):
    schema = {"patternProperties": {"^a$": {"type": "null"}}, "additionalProperties": False}

    assert judge(schema, {"a": None})
    assert not judge(schema, {"a\n": None})


def test_a_whole_number_has_no_decimal_point():
    (fault,) = faults({"type": "integer"}, 2.0)

    assert (fault.kind, fault.hint) == ("type", "Write it without a decimal point: 2.")
    assert not faults({"type": "number"}, 2.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("(" * 5000 + ")" * 5000, "nested too deeply"),
        ("a{99999999999999999999}", "repetition"),
        ("(", "unterminated"),
    ],
)
def test_an_expression_that_cannot_be_compiled_is_a_fault(text, says):
    (fault,) = faults({"format": "regex"}, text)

    assert "is not a regular expression" in fault.message
    assert says in fault.message


def test_a_wrong_pattern_says_what_was_meant():
    schema = {"type": "string", "pattern": "^/", "description": "An absolute folder."}

    (fault,) = faults(schema, "data")

    assert fault.hint == "Expected: An absolute folder."


@pytest.mark.parametrize(
    ("text", "explodes"),
    [
        ("(a+)+$", True),
        ("((a+))*b", True),
        ("(x*)*", True),
        (r"(\w+\s?)*:", True),
        ("(a+|b)*c", True),
        (r"(layer\d+\.)*weight", False),
        ("(foo|bar)+", False),
        ("a+b*c{2,}", False),
        ("(a{1,3}){2}", False),
        ("(", False),  # it is none at all
        ("head", False),
    ],
)
def test_expressions_that_may_take_for_ever_are_known(text, explodes):
    assert may_explode(text) is explodes
