# SPDX-License-Identifier: Apache-2.0
"""YAML as plain data: what is read, where it stands, and what is refused."""

from __future__ import annotations

import time

import pytest

from mmar_runner.documents.limits import ReadingLimits
from mmar_runner.documents.yaml_reader import read_yaml

GROWING = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)


def said(text, **limits):
    source = read_yaml(text, ReadingLimits(**limits))
    return [(source.position(problem.offset), problem.message) for problem in source.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8002", 8002),
        ("-1.5e3", -1500.0),
        ("true", True),
        ("~", None),
        ("", None),
        ("'8002'", "8002"),
        ("yes", "yes"),
        ("NO", "NO"),
        ("2026-11-24", "2026-11-24"),
        ("1:30", "1:30"),
        ("0777", 777),
        ("1e999", "1e999"),
        (".nan", ".nan"),
        ("[60, 40]", [60, 40]),
        ("{a: {b: [1, c]}}", {"a": {"b": [1, "c"]}}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
    ],
)
def test_plain_data_is_read_as_it_stands_there(text, value):
    source = read_yaml(text)

    assert source.problems == []
    assert source.value == value
    assert type(source.value) is type(value)


def test_every_key_and_value_has_its_place():
    source = read_yaml("# first\nserver:\n  org: a\n  cn: localhost\nlist:\n  - {x: 1}\n")

    assert source.locate(("server", "cn")) == (4, 7)
    assert source.locate(("server", "cn"), key=True) == (4, 3)
    assert source.locate(("list", 0, "x")) == (6, 9)
    assert source.locate(("server", "absent")) == (3, 3)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\nb: 2\na: 3", (3, 1), "'a' stands here twice"),
        ("a: !!python/object/apply:os.system [x]", (1, 4), "tag"),
        ("a: !!str 5", (1, 4), "tag"),
        ("a: ! x", (1, 4), "tag"),
        ("!mine {a: 1}", (1, 1), "tag"),
        ("? [1, 2]\n: 3", (1, 3), "A key must be text"),
        ("a: [1, 2", (1, 9), "not YAML"),
        ("a: *nothing", (1, 4), "undefined alias"),
        ("a: 1\n---\nb: 2", (2, 1), "another document"),
        ("a: \x07", (1, 4), "does not allow"),
        ('a: "\\U00110000"', (1, 7), "beyond what there is"),
        ('a: "\\UFFFFFFFF"', (1, 7), "beyond what there is"),
        (f"%YAML {'9' * 5000}.1\n---\na: 1", (1, 7), "beyond what there is"),
        ('a: "\\ud800"', (1, 4), "half of a surrogate pair"),
    ],
)
def test_what_is_no_plain_data_is_named_with_its_place(text, place, words):
    ((where, message),) = said(text)

    assert where == place
    assert words in message


@pytest.mark.parametrize(
    "text",
    ["&a [*a]", "&a {b: *a}", "[" * 5000, "a: " + "{b: " * 200, GROWING],
    ids=["list-in-itself", "map-in-itself", "brackets", "braces", "aliases-of-aliases"],
)
def test_what_never_ends_is_cut_short(text):
    begin = time.perf_counter()
    source = read_yaml(text)

    assert not source.reliable
    assert source.problems
    assert time.perf_counter() - begin < 10


def test_the_number_of_values_and_the_length_are_bounded():
    assert said("[1, 2, 3]", json_values=4) == []
    assert "more than 3 values" in said("[1, 2, 3]", json_values=3)[0][1]
    assert "longer than 8 characters" in said("a: [1, 2]", text_bytes=8)[0][1]


def test_a_slip_hides_no_other():
    assert [where for where, _ in said("a: !!x 1\nb: 2\nb: 3\n? [1]\n: 2")] == [
        (1, 4),
        (3, 1),
        (4, 3),
    ]


def test_a_tab_is_told_what_to_write_instead():
    (problem,) = read_yaml("server:\n\tcn: localhost\n").problems
    assert problem.hint == "Indent with spaces."
    (other,) = read_yaml("server: [\n").problems
    assert other.hint is None
