# SPDX-License-Identifier: Apache-2.0
"""Which expressions are found in every text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmar_runner.documents.patterns import finds_everything

EVERYTHING = [".*", ".+", ".", "^.*$", "^.*", ".*$", "(.*)", "(?:.+)", "a*", "(bn)?", "^", "$"]


@pytest.mark.parametrize("text", [*EVERYTHING, "a*b?", "()", "^(.*)$", ".*?"])
def test_what_may_be_nothing_or_anything_is_found_everywhere(text):
    assert finds_everything(text)


@pytest.mark.parametrize(
    "text", ["^$", "^.$", "bn", "^bn.*", "bn.*", ".{3,}", "^.*bn", "[", "(", "(?=a)", r"\b", "a+"]
)
def test_what_asks_for_something_is_not(text):
    assert not finds_everything(text)


@given(st.text("ab.*+?^$()|", max_size=8), st.text("abc.", min_size=1, max_size=6))
def test_whatever_is_said_to_be_found_is_found(text, name):
    if finds_everything(text):
        assert re.search(text, name)
