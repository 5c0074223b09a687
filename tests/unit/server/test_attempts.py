# SPDX-License-Identifier: Apache-2.0
"""How much a client may send in vain; what counts was not in vain."""

from __future__ import annotations

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.server.calls.attempts import MOST_COPIES, Attempts


def test_what_counts_is_not_held_against_who_is_asked_for_another() -> None:
    attempts = Attempts(10)
    attempts.check("west", 0)
    for _ in range(MOST_COPIES):
        attempts.count("west", 0, 10, spoiled=False)
        attempts.forget("west")
    attempts.check("west", 0)
    for _ in range(MOST_COPIES):
        attempts.count("west", 0, 10, spoiled=False)
    with pytest.raises(RefusedError) as refused:
        attempts.check("west", 0)
    assert refused.value.reason == "TOO_MANY_ATTEMPTS"
