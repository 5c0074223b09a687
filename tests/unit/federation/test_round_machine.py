# SPDX-License-Identifier: Apache-2.0
"""The round machine: when a round opens, closes or fails."""

from __future__ import annotations

import pytest

from mmar_runner.federation.actions import CloseRound, FinishRun, Invite, OpenRound, SetTimer
from mmar_runner.federation.events import (
    Aggregated,
    ClientJoined,
    ClientLeft,
    StopRequested,
    Tick,
    UpdateAccepted,
    UpdateFailed,
)
from mmar_runner.federation.run_status import RunStatus
from tests.unit.federation.machines import _feed, _machine


def test_a_run_goes_through_its_rounds() -> None:
    machine = _machine(1)
    assert _feed(machine, ClientJoined("site-2")) == [OpenRound(0, ("site-1", "site-2"))]
    done = _feed(machine, UpdateAccepted("site-2", 0), UpdateAccepted("site-1", 0))
    assert done == [CloseRound(0, ("site-1", "site-2"))]
    assert _feed(machine, Aggregated(0)) == [OpenRound(1, ("site-1", "site-2"))]
    assert machine.round == 1
    done = _feed(machine, UpdateAccepted("site-1", 1), UpdateAccepted("site-2", 1))
    assert done == [CloseRound(1, ("site-1", "site-2"))]
    assert _feed(machine, Aggregated(1)) == [FinishRun(RunStatus.FINISHED, "")]
    assert _feed(machine, Tick(), ClientJoined("site-3")) == []


@pytest.mark.parametrize("first_round", [None, 2, 3])
def test_nothing_to_do_finishes_at_the_first_event(first_round: int | None) -> None:
    machine = _machine(start_round=2, num_rounds=2, resume={"first_round": first_round})
    assert _feed(machine, Tick()) == [FinishRun(RunStatus.FINISHED, "")]


def test_a_negative_number_of_rounds_never_ends() -> None:
    machine = _machine(2, num_rounds=-1)
    for number in range(50):
        for client in ("site-1", "site-2"):
            _feed(machine, UpdateAccepted(client, number))
        assert _feed(machine, Aggregated(number))[0] == OpenRound(number + 1, ("site-1", "site-2"))


def test_the_first_round_waits_for_whom_is_expected_later_ones_do_not() -> None:
    machine = _machine(2, expected_clients=3)
    assert machine.waiting_for() == "round 0: 2 of 3 clients are there"
    assert _feed(machine, ClientJoined("site-3")) == [OpenRound(0, ("site-1", "site-2", "site-3"))]
    _feed(machine, *(UpdateAccepted(f"site-{n}", 0) for n in (1, 2, 3)))
    assert _feed(machine, ClientLeft("site-3", "quit"), Aggregated(0)) == [
        OpenRound(1, ("site-1", "site-2"))
    ]


def test_stragglers_are_waited_for_once_the_minimum_is_there() -> None:
    machine = _machine(3, wait_after_min_clients=5.0)
    assert _feed(machine, UpdateAccepted("site-3", 0), now=7.0) == []
    assert _feed(machine, UpdateAccepted("site-1", 0), now=8.0) == [SetTimer(13.0)]
    assert machine.waiting_for() == "round 0: 2 of 2 updates; missing site-2"
    assert _feed(machine, ClientJoined("site-3"), now=12.9) == []
    assert _feed(machine, Tick(), now=13.0) == [CloseRound(0, ("site-1", "site-3"))]
    assert machine.waiting_for() == "round 0: aggregating 2 updates"
    assert _feed(machine, UpdateAccepted("site-2", 0), Tick(), now=14.0) == []


def test_a_timer_that_comes_too_early_is_set_again() -> None:
    machine = _machine(3, wait_after_min_clients=5.0)
    _feed(machine, UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0), now=1.0)
    assert _feed(machine, Tick(), now=5.9999) == [SetTimer(6.0)]
    assert _feed(machine, Tick(), now=6.0) == [CloseRound(0, ("site-1", "site-2"))]


def test_the_round_closes_at_once_when_nobody_is_left_to_answer() -> None:
    machine = _machine(3, task_attempts=1)
    _feed(machine, UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0))
    assert _feed(machine, UpdateFailed("site-3", 0, "X")) == [CloseRound(0, ("site-1", "site-2"))]
    machine = _machine(3)
    _feed(machine, UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0))
    assert _feed(machine, ClientLeft("site-3", "quit")) == [CloseRound(0, ("site-1", "site-2"))]


def test_comings_and_goings_keep_no_round_open_that_has_enough() -> None:
    """Whoever comes once there are enough updates is asked, and taken, but not waited for."""
    machine = _machine(3, wait_after_min_clients=10.0)
    _feed(machine, UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0), now=1.0)
    for number in (4, 5):
        invited = _feed(machine, ClientJoined(f"site-{number}"), now=2.0)
        assert invited == [Invite(0, f"site-{number}", 1)]
    assert _feed(machine, ClientLeft("site-4", "quit"), now=2.0) == []  # site-3 may answer
    assert _feed(machine, ClientLeft("site-3", "quit"), now=2.0) == [
        CloseRound(0, ("site-1", "site-2"))
    ]


def test_whoever_left_and_came_back_is_not_waited_for_once_there_are_enough() -> None:
    machine = _machine(4, wait_after_min_clients=10.0)
    _feed(machine, UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0), now=1.0)
    assert _feed(machine, ClientLeft("site-3", "quit"), ClientJoined("site-3"), now=2.0) == [
        Invite(0, "site-3", 1)
    ]
    assert _feed(machine, UpdateAccepted("site-4", 0), now=3.0) == [
        CloseRound(0, ("site-1", "site-2", "site-4"))
    ]


def test_comings_and_goings_do_not_begin_the_wait_anew() -> None:
    machine = _machine(4, wait_after_min_clients=10.0)
    early = [UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0)]
    assert _feed(machine, *early, now=1.0) == [SetTimer(11.0)]
    for _ in range(5):
        joined = _feed(machine, ClientLeft("site-3", "quit"), ClientJoined("site-3"), now=9.0)
        assert joined == [Invite(0, "site-3", 1)]
    assert _feed(machine, Tick(), now=11.0) == [CloseRound(0, ("site-1", "site-2"))]


def test_an_update_that_nobody_waited_for_counts() -> None:
    machine = _machine(3, wait_after_min_clients=10.0)
    _feed(machine, UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0), now=1.0)
    assert _feed(machine, ClientJoined("site-4"), UpdateAccepted("site-4", 0), now=2.0) == [
        Invite(0, "site-4", 1)
    ]
    assert _feed(machine, UpdateAccepted("site-3", 0), now=3.0) == [
        CloseRound(0, ("site-1", "site-2", "site-3", "site-4"))
    ]


def test_a_deadline_closes_a_round_that_has_its_minimum() -> None:
    machine = _machine(1, round_deadline=60.0, wait_after_min_clients=1000.0, min_num_clients=1)
    machine = _machine(round_deadline=60.0, wait_after_min_clients=1000.0)
    _feed(machine, ClientJoined("site-1"), now=5.0)
    assert _feed(machine, ClientJoined("site-2"), now=10.0) == [
        OpenRound(0, ("site-1", "site-2")),
        SetTimer(70.0),
    ]
    _feed(machine, ClientJoined("site-3"), now=11.0)
    _feed(machine, UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0), now=12.0)
    assert _feed(machine, Tick(), now=69.0) == [SetTimer(70.0)]
    assert _feed(machine, Tick(), now=70.0) == [CloseRound(0, ("site-1", "site-2"))]


def test_a_deadline_without_the_minimum_keeps_the_round_open_for_it() -> None:
    machine = _machine(2, round_deadline=60.0)
    _feed(machine, UpdateAccepted("site-1", 0))
    assert _feed(machine, Tick(), now=100.0) == []
    _feed(machine, ClientJoined("site-3"), now=101.0)
    assert _feed(machine, UpdateAccepted("site-2", 0), now=102.0) == [
        CloseRound(0, ("site-1", "site-2"))
    ]


def test_an_update_counts_once() -> None:
    machine = _machine(2)
    repeated = [UpdateAccepted("site-1", 0)] * 3
    assert _feed(machine, *repeated) == []
    assert machine.waiting_for() == "round 0: 1 of 2 updates; missing site-2"


def test_other_rounds_are_not_heard_of() -> None:
    machine = _machine(2)
    assert _feed(machine, UpdateAccepted("site-1", 1), UpdateAccepted("site-2", -1)) == []
    assert _feed(machine, UpdateFailed("site-1", 1, "X"), Aggregated(0), Aggregated(1)) == []
    assert machine.waiting_for() == "round 0: 0 of 2 updates; missing site-1, site-2"


def test_a_late_client_works_too() -> None:
    machine = _machine(2)
    assert _feed(machine, ClientJoined("site-3")) == [Invite(0, "site-3", 1)]
    assert _feed(machine, ClientJoined("site-3")) == []


def test_a_failed_task_is_given_again_and_then_the_run_says_whose_it_was() -> None:
    machine = _machine(2, task_attempts=3)
    _feed(machine, UpdateAccepted("site-2", 0))
    assert _feed(machine, UpdateFailed("site-1", 0, "A")) == [Invite(0, "site-1", 2)]
    assert _feed(machine, UpdateFailed("site-1", 0, "B")) == [Invite(0, "site-1", 3)]
    assert _feed(machine, UpdateFailed("site-1", 0, "TASK_FAILED: no data")) == [
        FinishRun(RunStatus.FAILED, "round 0 has 1 of 2 updates; site-1: TASK_FAILED: no data")
    ]


def test_the_run_does_not_fail_while_somebody_may_still_answer() -> None:
    machine = _machine(3, task_attempts=1)
    assert _feed(machine, UpdateFailed("site-1", 0, "X"), UpdateAccepted("site-2", 0)) == []
    assert _feed(machine, UpdateAccepted("site-3", 0)) == [CloseRound(0, ("site-2", "site-3"))]


def test_a_failure_that_succeeds_later_counts() -> None:
    machine = _machine(2)
    _feed(machine, UpdateFailed("site-1", 0, "X"), UpdateAccepted("site-2", 0))
    assert _feed(machine, UpdateAccepted("site-1", 0)) == [CloseRound(0, ("site-1", "site-2"))]
    assert _feed(machine, Aggregated(0), UpdateFailed("site-1", 1, "X"))[-1] == Invite(
        1, "site-1", 2
    )


def test_a_failure_of_somebody_who_was_not_asked_is_nothing() -> None:
    machine = _machine(2, task_attempts=1)
    assert _feed(machine, UpdateFailed("stranger", 0, "X")) == []
    _feed(machine, UpdateAccepted("site-1", 0))
    assert _feed(machine, UpdateFailed("site-1", 0, "X")) == []
    assert machine.waiting_for() == "round 0: 1 of 2 updates; missing site-2"


def test_a_lost_client_is_waited_for_and_asked_again() -> None:
    machine = _machine(2)
    _feed(machine, UpdateAccepted("site-1", 0))
    assert _feed(machine, ClientLeft("site-2", "lease"), Tick(), now=1e6) == []
    assert machine.waiting_for() == "round 0: 1 of 2 updates; missing site-2"
    assert _feed(machine, ClientJoined("site-2"), now=1e6) == [Invite(0, "site-2", 1)]
    assert _feed(machine, UpdateAccepted("site-2", 0), now=1e6) == [
        CloseRound(0, ("site-1", "site-2"))
    ]


def test_an_update_of_a_client_that_left_still_counts() -> None:
    machine = _machine(2)
    _feed(machine, UpdateAccepted("site-1", 0), ClientLeft("site-1", "quit"))
    assert _feed(machine, UpdateAccepted("site-2", 0)) == [CloseRound(0, ("site-1", "site-2"))]


def test_a_lost_client_that_could_make_the_minimum_keeps_the_run_alive() -> None:
    machine = _machine(2, min_num_clients=1, task_attempts=1)
    _feed(machine, ClientJoined("site-2"), ClientLeft("site-2", "lease"))
    assert _feed(machine, UpdateFailed("site-1", 0, "X")) == []
    assert "missing site-2" in machine.waiting_for()
    machine = _machine(2, min_num_clients=2, task_attempts=1)
    _feed(machine, ClientLeft("site-2", "lease"))
    assert _feed(machine, UpdateFailed("site-1", 0, "X")) == [
        FinishRun(RunStatus.FAILED, "round 0 has 0 of 2 updates; site-1: X")
    ]


def test_a_client_that_failed_and_came_back_gets_its_task_again_as_a_new_attempt() -> None:
    machine = _machine(3, task_attempts=1)
    _feed(machine, UpdateFailed("site-1", 0, "X"), ClientLeft("site-1", "restart"))
    assert _feed(machine, ClientJoined("site-1")) == [Invite(0, "site-1", 2)]
    _feed(machine, UpdateFailed("site-1", 0, "X"), ClientLeft("site-1", "restart"))
    assert _feed(machine, ClientJoined("site-1")) == [Invite(0, "site-1", 3)]


def test_stopping_ends_the_run_at_any_time() -> None:
    for events in ([], [UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0)]):
        machine = _machine(2)
        _feed(machine, *events)
        assert _feed(machine, StopRequested("SIGTERM")) == [FinishRun(RunStatus.STOPPED, "SIGTERM")]
        assert _feed(machine, Aggregated(0), Tick()) == []
        assert machine.waiting_for() == ""
