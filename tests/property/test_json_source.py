# SPDX-License-Identifier: Apache-2.0
"""Laws of the JSON reader, against the standard library's."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from mmar_runner.documents.json_reader import read_json
from mmar_runner.documents.limits import ReadingLimits
from mmar_runner.documents.quick_schema import surely_valid
from mmar_runner.documents.schema_check import faults

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXT
JSON = st.recursive(
    _SCALARS.filter(lambda v: v not in {float("inf"), float("-inf")}),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(JSON, st.sampled_from([None, 0, 2]), st.booleans())
def test_what_json_writes_is_read_back(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)

    source = read_json(text)

    assert source.problems == []
    assert source.value == value


def _places(value, path=()):
    yield path, value
    if isinstance(value, dict | list):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(child, (*path, key))


@settings(max_examples=60, deadline=None)
@given(JSON, st.sampled_from([None, 2]))
def test_every_value_stands_where_it_is_said_to_stand(value, indent):
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    source = read_json(text)
    # A form feed or the like inside a string does not begin a line, only "\n" does.
    lines = text.split("\n")

    for path, part in _places(value):
        line, column = source.locate(path)
        rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
        assert json.JSONDecoder().raw_decode(rest)[0] == part


@settings(deadline=None)
@given(st.text(alphabet="{}[]\",:' \\\n/#*-+.eE0123ntfTNaIu", max_size=40))
def test_it_agrees_with_the_standard_library_on_what_is_json(text):
    source = read_json(text)
    try:
        json.loads(text, parse_constant=_refuse)
        strict = True
    except ValueError:
        strict = False

    clean = [p for p in source.problems if p.code != "MMAR111"] == []

    if clean:
        assert strict
    else:
        # 1e999 is JSON, but no finite number.
        assert not strict or {p.code for p in source.problems} == {"MMAR112"}


def _refuse(name):
    raise ValueError(name)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_no_text_makes_it_fail(text):
    source = read_json(text, ReadingLimits(json_depth=8, json_values=50))

    for problem in source.problems:
        line, column = source.position(problem.offset)
        assert line >= 1
        assert column >= 1


_TYPES = st.sampled_from(["integer", "number", "string", "boolean", "object", "array", "null"])
_SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": _TYPES | st.lists(_TYPES, min_size=1, max_size=3, unique=True),
            "minimum": st.integers(-3, 3),
            "maxLength": st.integers(0, 4),
            "minItems": st.integers(0, 2),
            "enum": st.lists(st.none() | st.booleans() | st.integers(-1, 1) | _TEXT, min_size=1),
            "const": st.integers(-1, 1) | st.booleans() | _TEXT,
            "required": st.lists(st.sampled_from("abc"), unique=True),
            "uniqueItems": st.booleans(),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
            "additionalProperties": st.booleans() | inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=6,
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-4, 4) | st.sampled_from([1.0, 0.5, "", "a", "abcdef"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(_SCHEMAS, _VALUES)
def test_the_quick_yes_is_never_wrong(schema, value):
    from jsonschema import Draft202012Validator

    if surely_valid(schema, value, schema):
        assert Draft202012Validator(schema).is_valid(value)


@settings(max_examples=60, deadline=None)
@given(_SCHEMAS, _VALUES)
def test_every_value_that_does_not_fit_has_a_fault(schema, value):
    from jsonschema import Draft202012Validator

    assert bool(faults(schema, value)) == (not Draft202012Validator(schema).is_valid(value))
