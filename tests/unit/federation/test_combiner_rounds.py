# SPDX-License-Identifier: Apache-2.0
"""Rounds that are somebody else's: passed, jumped, or opened closed."""

from __future__ import annotations

from mmar_runner.federation.actions import Action, CloseRound, FinishRun, OpenRound
from mmar_runner.federation.events import (
    Aggregated,
    ClientJoined,
    Event,
    RoundPassed,
    UpdateAccepted,
)
from mmar_runner.federation.plan import RunPlan
from mmar_runner.federation.round_machine import RoundMachine
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.federation.scatter_and_gather import ScatterAndGather

PLAN = RunPlan(start_round=0, num_rounds=9, min_num_clients=2, max_num_clients=5)


def machine(**known: object) -> RoundMachine:
    return RoundMachine(PLAN, ScatterAndGather(), **known)  # type: ignore[arg-type]


def feed(made: RoundMachine, *events: Event) -> list[Action]:
    return [action for event in events for action in made.handle(event, 1.0)]


def test_a_round_that_is_passed_closes_short_of_updates() -> None:
    made = machine()
    feed(made, ClientJoined("a"), ClientJoined("b"), UpdateAccepted("a", 0))
    assert feed(made, RoundPassed(0)) == [CloseRound(0, ("a",))]
    assert feed(made, UpdateAccepted("b", 0), RoundPassed(0)) == []


def test_a_round_that_is_passed_before_it_opens_opens_for_nobody() -> None:
    made = machine()
    feed(made, ClientJoined("a"))
    assert feed(made, RoundPassed(0)) == [OpenRound(0, ()), CloseRound(0, ())]
    assert feed(made, Aggregated(0, 4)) == []
    assert feed(made, ClientJoined("b"))[0] == OpenRound(4, ("a", "b"))


def test_another_round_than_the_open_one_is_not_passed() -> None:
    made = machine()
    feed(made, ClientJoined("a"), ClientJoined("b"))
    assert feed(made, RoundPassed(1)) == []


def test_the_next_round_is_the_one_that_follows() -> None:
    made = machine()
    feed(made, ClientJoined("a"), ClientJoined("b"), RoundPassed(0))
    assert feed(made, Aggregated(0, 5))[0] == OpenRound(5, ("a", "b"))
    assert made.round == 5


def test_a_round_behind_the_last_ends_the_run() -> None:
    made = machine()
    feed(made, ClientJoined("a"), ClientJoined("b"), RoundPassed(0))
    assert feed(made, Aggregated(0, 9)) == [FinishRun(RunStatus.FINISHED, "")]


def test_a_sealed_round_opens_closed_for_those_whose_updates_count() -> None:
    known = {"first_round": 3, "accepted": ["a", "c"], "participants": ["a", "b", "c"]}
    made = machine(**known, active=["a", "b", "d"], sealed=True)
    closed = CloseRound(3, ("a", "c"))
    assert made.handle(ClientJoined("e"), 1.0) == [OpenRound(3, ("a", "c")), closed]
    assert feed(made, ClientJoined("f"), UpdateAccepted("b", 3)) == []
    assert feed(made, Aggregated(3, 4))[0] == OpenRound(4, ("a", "b", "d", "e", "f"))
