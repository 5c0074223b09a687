# SPDX-License-Identifier: Apache-2.0
"""The book of one round by itself: what an answer, a failure and a withdrawal change in it."""

from __future__ import annotations

from mmar_runner.federation.round_book import RoundBook


def _book(*invited: str, quorum: int = 2) -> RoundBook:
    return RoundBook(opened_at=5.0, quorum=quorum, invited=set(invited))


def test_whoever_answers_belongs_to_the_round_and_has_not_failed() -> None:
    book = _book("a", "b")
    book.failed["c"] = "X"
    book.accept("c", 7.0)
    assert book.invited == {"a", "b", "c"}
    assert book.failed == {}
    assert book.have() == 1
    assert book.unanswered() == {"a", "b"}


def test_the_last_update_of_the_quorum_says_when_there_were_enough() -> None:
    book = _book("a", "b", "c")
    book.accept("a", 7.0)
    assert book.enough_at is None
    book.accept("b", 8.0)
    book.accept("c", 9.0)
    assert book.enough_at == 8.0


def test_a_round_from_which_too_much_was_withdrawn_is_open_again() -> None:
    book = _book("a", "b", "c")
    for client in "abc":
        book.accept(client, 7.0)
    book.closed = True
    book.withdraw({"c": "X", "stranger": "Y"})
    assert (book.closed, book.enough_at) == (False, 7.0)
    assert (book.accepted, book.failed, book.failures) == ({"a", "b"}, {"c": "X"}, {"c": 1})
    book.withdraw({"b": "Z"})
    assert book.enough_at is None
    assert book.failed == {"b": "Z", "c": "X"}
    assert book.unanswered() == set()


def test_it_closes_by_whichever_time_is_first() -> None:
    book = _book("a", "b")
    assert book.closes_at(10.0, 4.0) is None
    book.accept("a", 6.0)
    book.accept("b", 7.0)
    assert book.closes_at(10.0, None) == 17.0
    assert book.closes_at(10.0, 60.0) == 17.0
    assert book.closes_at(10.0, 4.0) == 9.0


def test_those_who_are_missing_and_those_who_could_stand_in() -> None:
    book = _book("a", "b", "c", quorum=3)
    book.accept("a", 6.0)
    book.failed["b"] = "X"
    here = {"b", "c", "d"}
    assert book.missing(here) == 1
    assert book.missing({"d"}) == 2
    assert book.spare(here) == {"d"}
    assert not book.is_stalled(here)
    assert book.is_stalled({"d"})
    assert not book.is_hopeless(here)


def test_a_round_is_hopeless_only_after_a_failure_and_without_anybody_at_work() -> None:
    book = _book("a", "b")
    assert not book.is_hopeless({"a"})
    book.failed["a"] = "X"
    assert not book.is_hopeless({"a", "b"})  # b is at work
    assert book.is_hopeless({"a"})  # b alone, if it came back, would not be enough
    assert not book.is_hopeless({"a", "c"})  # with c it would


def test_a_removed_client_that_was_one_too_many_takes_no_time_away() -> None:
    """There is enough without it: the wait for stragglers goes on from when there was."""
    book = _book("a", "b", "c")
    for at, client in enumerate(("a", "b", "c")):
        book.accept(client, float(at))
    enough = book.enough_at
    assert enough is not None

    book.remove("c")
    assert book.enough_at == enough
    book.remove("b")
    assert book.enough_at is None
