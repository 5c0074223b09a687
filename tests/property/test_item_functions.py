# SPDX-License-Identifier: Apache-2.0
"""Laws of functions written as text, against Python's own."""

from __future__ import annotations

import contextlib

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmar_runner.documents.item_functions import ItemFunction, parse_item_function
from mmar_runner.errors import FormatError

_KEYS = st.sampled_from(["'pred'", '"label"', "'a b'"])
_LEAVES = (
    st.sampled_from(["None", "True", "False", "x", "''"])
    | st.integers(-9, 9).map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.lists(_KEYS, max_size=3).map(lambda keys: "x" + "".join(f"[{key}]" for key in keys))
)
_BODIES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]")
        | st.lists(inner, max_size=3).map(lambda parts: f"({''.join(p + ', ' for p in parts)})")
        | st.dictionaries(_KEYS, inner, max_size=3).map(
            lambda parts: "{" + ", ".join(f"{k}: {v}" for k, v in parts.items()) + "}"
        )
    ),
    max_leaves=8,
)


class _Nest(dict):
    """Has under every key another one that is equal to what was asked."""

    def __missing__(self, key):
        return _Nest({"of": (dict(self), key)})


@settings(max_examples=80, deadline=None)
@given(_BODIES)
def test_what_is_accepted_means_what_python_means(body):
    text = f"lambda x: {body}"

    assert parse_item_function(text)(_Nest()) == eval(text)(_Nest())  # noqa: S307 - made above


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="lambda x:[]()'{}.,-+01\"_*=\\\n#@é\0if or", max_size=60))
@example("lambda x: x['a'" + "]" * 20)
def test_any_text_is_a_function_or_is_refused(text):
    for written in (text, f"lambda x: {text}"):
        with contextlib.suppress(FormatError):
            assert isinstance(parse_item_function(written), ItemFunction)
