# SPDX-License-Identifier: Apache-2.0
"""Which MMAR an order means."""

from __future__ import annotations

import pytest

from mmar_runner.errors import OrderError, UsageError
from mmar_runner.orders.naming import NamedMmar, named_mmar

ONE, OTHER = "a1" * 32, "b2" * 32


@pytest.mark.parametrize("word", ["study", f"study@{ONE}"])
def test_a_word_is_what_it_was(word: str) -> None:
    assert str(named_mmar(word)) == word


@pytest.mark.parametrize("word", ["study@", "study@x", f"study@{ONE}0", f"study@{ONE.upper()}"])
def test_what_is_no_digest_is_refused(word: str) -> None:
    with pytest.raises(UsageError):
        named_mmar(word)


def test_another_mmar_of_the_name_is_refused() -> None:
    NamedMmar("study", ONE).require(ONE, whose="the server has")
    NamedMmar("study").require(OTHER, whose="the server has")
    with pytest.raises(OrderError) as refused:
        NamedMmar("study", ONE).require(OTHER, whose="the server has")
    assert refused.value.reason == "MMAR_DIFFERS"
    assert ONE[:12] in refused.value.message
    assert OTHER[:12] in refused.value.message
