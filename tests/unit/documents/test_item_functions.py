# SPDX-License-Identifier: Apache-2.0
"""Functions that a configuration holds as text are read, never run."""

from __future__ import annotations

import pickle

import pytest

from mmar_runner.documents.item_functions import (
    MOST_DEPTH,
    MOST_LETTERS,
    SHAPES,
    parse_item_function,
)
from mmar_runner.documents.schema_check import faults
from mmar_runner.errors import FormatError

_X = {"loss": 0.5, "pred": [1, 2], "label": {"a": (3, 4)}}


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("lambda x: x['loss']", _X, 0.5),
        ("lambda x: (x['pred'], x['label'])", _X, ([1, 2], {"a": (3, 4)})),
        ("lambda x: (x['pred'],)", _X, ([1, 2],)),
        ("lambda x: None", _X, None),
        ("lambda x: True", _X, True),
        ("lambda x: -1.5", _X, -1.5),
        ("lambda _: 'one'", _X, "one"),
        ("lambda out: out", 7, 7),
        ("lambda x: x[0]", [5, 6], 5),
        ("lambda x: x[-1]", [5, 6], 6),
        ("lambda x: x['label']['a'][1]", _X, 4),
        ("lambda x: [x['loss'], 1]", _X, [0.5, 1]),
        (
            "lambda x: {'train_loss': x['loss'], 0: x}",
            {"loss": 1},
            {"train_loss": 1, 0: {"loss": 1}},
        ),
        ("  lambda x : x [ 'loss' ]  ", _X, 0.5),
        ("lambda x: ()", _X, ()),
    ],
)
def test_the_shapes_that_archives_use_are_functions(text, given, expected):
    assert parse_item_function(text)(given) == expected


def test_a_key_is_asked_of_every_sample_of_a_batch_that_was_taken_apart():
    both = parse_item_function("lambda x: (x['pred'], x['label'])")

    assert both([{"pred": 1, "label": 2}, {"pred": 3, "label": 4}]) == ([1, 3], [2, 4])


def test_a_position_of_a_list_stays_a_position():
    assert parse_item_function("lambda x: x[1]['pred']")([{"pred": 1}, {"pred": 3}]) == 3


def test_a_function_crosses_to_another_process():
    function = parse_item_function("lambda x: {'a': [x['loss'], -1]}")

    assert pickle.loads(pickle.dumps(function)) == function  # noqa: S301 - its own bytes


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("lambda x: __import__('os').system('id')", 11, "nothing is called here"),
        ("lambda x: open('/etc/passwd')", 11, "nothing is called here"),
        ("lambda x: x.__class__", 11, "an attribute is not an item"),
        ("lambda x: x['a'].shape", 11, "an attribute is not an item"),
        ("lambda x: y", 11, "'y' is not the argument 'x'"),
        ("lambda x: x[y]", 13, "'y' is not the argument 'x'"),
        ("lambda x: x[x]", 13, "a key is a text or a whole number"),
        ("lambda x: x[True]", 13, "a key is a text or a whole number"),
        ("lambda x: x[1.0]", 13, "a key is a text or a whole number"),
        ("lambda x: x[0:2]", 13, "one item is taken"),
        ("lambda x: (x, 1)[0]", 11, "only 'x' and its items have items"),
        ("lambda x: x > 0", 11, "nothing is compared here"),
        ("lambda x: x + 1", 11, "nothing is computed here"),
        ("lambda x: 9 ** 9 ** 9", 11, "nothing is computed here"),
        ("lambda x: not x", 11, "only a number has a sign"),
        ("lambda x: -x", 11, "only a number has a sign"),
        ("lambda x: -True", 11, "only a number has a sign"),
        ("lambda x: x if x else None", 11, "nothing is decided here"),
        ("lambda x: x or 1", 11, "nothing is decided here"),
        ("lambda x: (y := x)", 12, "nothing is named here"),
        ("lambda x: [i for i in x]", 11, "this means nothing here"),
        ("lambda x: lambda y: x", 11, "a function gives no function"),
        ("lambda x: f'{x}'", 11, "a text is written as it is"),
        ("lambda x: [*x]", 12, "every item is written by itself"),
        ("lambda x: {**x}", 11, "an object is written name by name"),
        ("lambda x: {x: 1}", 12, "a key is a text or a whole number"),
        ("lambda x: b'bytes'", 11, "this is no constant that JSON has"),
        ("lambda x: 1j", 11, "this is no constant that JSON has"),
        ("lambda x: 1e999", 11, "this is no constant that JSON has"),
        ("lambda x: ...", 11, "this is no constant that JSON has"),
        ("lambda x: x[", 12, "it cannot be read"),
        ("lambda x: '\\x41'", 1, "it holds a backslash"),
        ("lambda x:\n x", 1, "a letter that cannot be seen"),
        ("lambda x: x['pred'],", 1, "it does not begin with 'lambda'"),
        ("lambda x: (x['größe'], y)", 24, "'y' is not the argument 'x'"),
        ("  lambda x: y", 13, "'y' is not the argument 'x'"),
        ("  x['loss']", 3, "it does not begin with 'lambda'"),
        ("import os", 1, "it cannot be read"),
        ("", 1, "it cannot be read"),
        ("lambda: 1", 1, "exactly one argument"),
        ("lambda x, y: x", 1, "exactly one argument"),
        ("lambda x=open('f'): x", 1, "exactly one argument"),
        ("lambda *x: x", 1, "exactly one argument"),
        ("lambda **x: x", 1, "exactly one argument"),
        ("lambda x, /: x", 1, "exactly one argument"),
        ("lambda x, *, y: x", 1, "exactly one argument"),
        ("lambda x: \0", 1, "a letter that cannot be seen"),
    ],
)
def test_anything_else_is_refused_with_its_place_and_the_accepted_shapes(text, place, why):
    with pytest.raises(FormatError) as refused:
        parse_item_function(text)

    assert why in refused.value.message
    assert f"at letter {place}:" in refused.value.message
    assert "lambda x: x['loss']" in (refused.value.hint or "")
    assert refused.value.reason == "ITEM_FUNCTION"


@pytest.mark.parametrize(
    "text",
    [
        "lambda x: " + "(" * (MOST_LETTERS - 20),
        "lambda x: " + "[" * 90 + "]" * 90,
        "lambda x: x" + "[0]" * (MOST_DEPTH + 1),
        "lambda x: " + "-" * 300 + "1",
        "lambda x: x" + "[0" * 150 + "]" * 150,
        "lambda x: " + "lambda x: " * 60 + "x",
        "lambda x: '" + "a" * MOST_LETTERS + "'",
        "lambda x: " + "9" * 100_000,
    ],
)
def test_large_and_deep_texts_are_refused(text):
    with pytest.raises(FormatError):
        parse_item_function(text)


_SCHEMA = {"properties": {"output_transform": {"type": "string", "format": "item-function"}}}


def test_a_schema_asks_for_such_a_text_by_its_format():
    assert faults(_SCHEMA, {"output_transform": "lambda x: x['loss']"}) == []

    (fault,) = faults(_SCHEMA, {"output_transform": "lambda x: x.loss"})

    assert (fault.kind, fault.path) == ("value", ("output_transform",))
    assert "at letter 11: an attribute is not an item" in fault.message
    assert fault.hint == SHAPES
