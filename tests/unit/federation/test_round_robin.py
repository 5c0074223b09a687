# SPDX-License-Identifier: Apache-2.0
"""The model travels from client to client: one works, and never two."""

from __future__ import annotations

from typing import Any

import pytest

from mmar_runner.federation.actions import CloseRound, FinishRun, Invite, OpenRound, PassTurn
from mmar_runner.federation.events import (
    Aggregated,
    ClientJoined,
    ClientLeft,
    ClientRemoved,
    MinimumChanged,
    TaskGivenAgain,
    Tick,
    UpdateAccepted,
    UpdateFailed,
    UpdatesWithdrawn,
)
from mmar_runner.federation.round_machine import RoundMachine
from mmar_runner.federation.round_robin import RoundRobin
from mmar_runner.federation.run_status import RunStatus
from tests.unit.federation.machines import _feed, _plan

ABC = ("a", "b", "c")


def machine(
    *active: str, order: list[str] | None = None, resume: dict[str, Any] | None = None, **plan: Any
) -> RoundMachine:
    made = RoundMachine(
        _plan(**{"num_rounds": 9, **plan}), RoundRobin(order), active=active, **(resume or {})
    )
    _feed(made, Tick())
    return made


def turn(made: RoundMachine, number: int, client: str) -> list[Any]:
    """Have a client do its turn; return what follows."""
    _feed(made, UpdateAccepted(client, number))
    return _feed(made, Aggregated(number))


@pytest.mark.parametrize(
    ("order", "turns"),
    [
        (None, "abcabc"),
        (["c", "a", "b"], "cabcab"),
        (["b", "absent"], "bacbac"),
        (["x", "y"], "abcabc"),
    ],
)
def test_turns_go_round_in_the_declared_order_else_by_name(
    order: list[str] | None, turns: str
) -> None:
    made = machine(*ABC, order=order)
    assert made.missing() == (turns[0],)
    for number, client in enumerate(turns[:-1]):
        assert turn(made, number, client) == [OpenRound(number + 1, (turns[number + 1],))]


def test_it_begins_with_the_minimum_and_one_update_ends_a_turn() -> None:
    made = machine("a", min_num_clients=2)
    assert made.waiting_for() == "round 0: 1 of 2 clients are there"
    assert _feed(made, ClientJoined("b")) == [OpenRound(0, ("a",))]
    assert _feed(made, UpdateAccepted("a", 0)) == [CloseRound(0, ("a",))]
    _feed(made, ClientLeft("b", "lease"), Aggregated(0))
    assert made.missing() == ("a",), "later turns need one client"


def test_one_that_joins_late_waits_for_its_turn() -> None:
    made = machine("a", "c")
    assert _feed(made, ClientJoined("b")) == []
    assert turn(made, 0, "a") == [OpenRound(1, ("b",))]


def test_the_turn_of_one_that_is_lost_goes_on_and_does_not_come_back_with_it() -> None:
    made = machine(*ABC)
    assert _feed(made, ClientLeft("a", "lease")) == [PassTurn(0, "b", 1, "a")]
    assert _feed(made, ClientJoined("a")) == []
    assert not made.works("a")
    assert made.missing() == ("b",)
    assert _feed(made, TaskGivenAgain("a")) == []
    assert turn(made, 0, "b") == [OpenRound(1, ("c",))]
    assert turn(made, 1, "c") == [OpenRound(2, ("a",))]


def test_a_turn_that_comes_back_is_another_attempt() -> None:
    made = machine("a", "b")
    _feed(made, ClientLeft("a", "lease"), ClientJoined("a"))
    assert _feed(made, ClientLeft("b", "lease")) == [PassTurn(0, "a", 2, "b")]
    _feed(made, ClientJoined("b"))
    assert _feed(made, ClientLeft("a", "lease")) == [PassTurn(0, "b", 2, "a")]


def test_one_that_is_lost_alone_keeps_its_turn() -> None:
    made = machine("a", "b")
    _feed(made, ClientLeft("b", "lease"))
    assert _feed(made, ClientLeft("a", "lease")) == []
    assert made.stalled
    assert _feed(made, ClientJoined("a")) == [Invite(0, "a", 1)]


def test_one_that_fails_for_good_passes_its_turn() -> None:
    made = machine(*ABC)
    assert _feed(made, UpdateFailed("a", 0, "X")) == [Invite(0, "a", 2)]
    assert _feed(made, UpdateFailed("a", 0, "X")) == [PassTurn(0, "b", 1, "a")]
    assert _feed(made, UpdateFailed("a", 0, "X")) == [], "it is not asked any more"
    _feed(made, UpdateFailed("b", 0, "Y"), UpdateFailed("b", 0, "Y"))
    _feed(made, UpdateFailed("c", 0, "Z"))
    (end,) = _feed(made, UpdateFailed("c", 0, "Z"))
    assert isinstance(end, FinishRun)
    assert end.status is RunStatus.FAILED
    assert "a: X; b: Y; c: Z" in end.reason


@pytest.mark.parametrize("first_fails", [False, True])
def test_it_does_not_fail_while_a_lost_one_may_come_back(first_fails: bool) -> None:
    made = machine("a", "b")
    if first_fails:
        _feed(made, UpdateFailed("a", 0, "X"), UpdateFailed("a", 0, "X"))
    _feed(made, ClientLeft("a", "lease"), UpdateFailed("b", 0, "Y"))
    assert _feed(made, UpdateFailed("b", 0, "Y")) == []
    assert _feed(made, ClientJoined("a")) == [PassTurn(0, "a", 4 if first_fails else 2, "b")]


def test_one_that_failed_and_comes_back_works_in_no_turn_of_another() -> None:
    made = machine("a", "b")
    _feed(made, UpdateFailed("a", 0, "X"), UpdateFailed("a", 0, "X"))
    assert _feed(made, ClientLeft("a", "lease"), ClientJoined("a")) == []
    assert made.missing() == ("b",)


def test_a_removed_ones_turn_goes_on_even_if_its_update_was_there() -> None:
    made = machine(*ABC)
    assert _feed(made, ClientRemoved("a")) == [PassTurn(0, "b", 1, "a")]
    assert _feed(made, ClientJoined("a")) == []
    assert made.missing() == ("b",)


def test_a_withdrawn_update_has_its_client_try_again_then_the_next() -> None:
    made = machine("a", "b")
    _feed(made, UpdateAccepted("a", 0))
    assert _feed(made, UpdatesWithdrawn(0, {"a": "INF"})) == [Invite(0, "a", 2)]
    _feed(made, UpdateAccepted("a", 0))
    assert _feed(made, UpdatesWithdrawn(0, {"a": "INF"})) == [PassTurn(0, "b", 1, "a")]


def test_another_minimum_changes_no_turn() -> None:
    made = machine(*ABC)
    assert made.can_reach(3)
    assert _feed(made, MinimumChanged(3)) == []
    assert _feed(made, UpdateAccepted("a", 0)) == [CloseRound(0, ("a",))]


def test_a_server_that_is_back_goes_on_with_the_same_turn() -> None:
    resume = {"first_round": 3, "participants": ("b",), "again": {"a": 1}, "last_turn": "c"}
    made = machine(*ABC, resume=resume)
    assert made.missing() == ("b",)
    assert _feed(made, ClientLeft("b", "lease")) == [PassTurn(3, "c", 1, "b")]
    _feed(made, ClientLeft("c", "lease"))
    assert made.missing() == ("a",)


def test_between_two_turns_it_goes_on_after_the_last() -> None:
    made = machine(*ABC, resume={"first_round": 3, "last_turn": "b"})
    assert made.missing() == ("c",)


def test_after_a_restart_one_that_had_passed_its_turn_is_waited_for() -> None:
    resume = {"first_round": 3, "participants": ("b",), "again": {"a": 1}}
    made = machine("b", resume=resume)
    assert _feed(made, UpdateFailed("b", 3, "X")) == [Invite(3, "b", 2)]
    assert _feed(made, UpdateFailed("b", 3, "X")) == []
    assert _feed(made, ClientJoined("a")) == [PassTurn(3, "a", 2, "b")]
