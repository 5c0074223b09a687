# SPDX-License-Identifier: Apache-2.0
"""A run that waits without getting anywhere is ended in time; one that gets on never is."""

from __future__ import annotations

from mmar_runner.federation.patience import Patience


def test_a_wait_without_progress_is_over_after_that_time() -> None:
    patience = Patience(10, now=100)
    assert patience.since == 100
    looks = [patience.is_over("same", now, waits=True) for now in (101, 105, 110.9, 111, 112)]
    assert looks == [False, False, False, True, True]
    assert patience.since == 101


def test_any_progress_begins_the_wait_anew() -> None:
    patience = Patience(10, now=0)
    for now in range(0, 100, 9):
        assert not patience.is_over(("round", now), now, waits=True)
    assert patience.is_over(("round", 99), 109, waits=True)


def test_time_in_which_the_run_works_itself_does_not_count() -> None:
    patience = Patience(10, now=0)
    assert not patience.is_over("same", 0, waits=True)
    assert not patience.is_over("same", 500, waits=False)
    assert not patience.is_over("same", 509, waits=True)
    assert patience.is_over("same", 510, waits=True)
