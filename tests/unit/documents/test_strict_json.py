# SPDX-License-Identifier: Apache-2.0
"""Strict JSON: exactly the format, or a sentence about why not."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmar_runner.documents.strict_json import parse_checked, parse_strict

LIMIT = 1000
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(value=_JSON)
def test_what_was_written_is_read(value):
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        assert parse_strict(text.encode(), limit=10**6) == value


@given(data=st.binary(max_size=60) | st.text('{}[]",:\\u019aeE+-.ntrf d8', max_size=60))
def test_anything_else_is_a_value_error(data):
    data = data.encode() if isinstance(data, str) else data
    with contextlib.suppress(ValueError):
        parse_strict(data, limit=LIMIT)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b" " * (LIMIT + 1), "larger"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"\xff", "UTF-8"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' twice"),
        (b'{"\\u0061": 1, "a": 2}', "'a' twice"),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"[-1e999]", "holds -1e999"),
        (b'["\\udc00"]', "UTF-8"),
        (b"[" * 999, "not JSON|deep"),
        (b"1" * 999 + b"x", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b"[1,]", "not JSON"),
    ],
    ids=[
        *("large", "byte_order_mark", "no_utf8", "key_twice", "key_twice_escaped", "nan"),
        *(
            "infinity",
            "infinity_in_digits",
            "surrogate",
            "deep",
            "digits",
            "two_values",
            "quotes",
            "comma",
        ),
    ],
)
def test_each_slip_is_named(data, word):
    with pytest.raises(ValueError, match=word):
        parse_strict(data, limit=LIMIT)


def test_nesting_that_no_stack_holds_is_refused():
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_strict(b"[" * 200_000 + b"]" * 200_000, limit=10**6)


def test_what_does_not_fit_its_schema_is_named_with_its_place():
    with pytest.raises(ValueError, match="at /"):
        parse_checked(
            b'{"version": 2, "project": "p", "root_sha256": "0", "release_keys": []}',
            "trust",
            limit=LIMIT,
        )
    with pytest.raises(ValueError, match="as a whole"):
        parse_checked(b"[]", "trust", limit=LIMIT)
