# SPDX-License-Identifier: Apache-2.0
"""When rounds open and close, who is asked, and how a run ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mmar_runner.federation.actions import (
    Action,
    CloseRound,
    FinishRun,
    Invite,
    OpenRound,
    SetTimer,
)
from mmar_runner.federation.events import (
    Aggregated,
    ClientJoined,
    ClientLeft,
    StopRequested,
    Tick,
    UpdateAccepted,
    UpdateFailed,
    UpdatesWithdrawn,
)
from mmar_runner.federation.plan import RunPlan
from mmar_runner.federation.round_machine import RoundMachine
from mmar_runner.federation.scatter_and_gather import ScatterAndGather
from mmar_runner.federation.sites import Sites


def _plan(**changes: Any) -> RunPlan:
    numbers: dict[str, Any] = {
        "start_round": 0,
        "num_rounds": 2,
        "min_num_clients": 2,
        "max_num_clients": 10,
        "wait_after_min_clients": 10.0,
    }
    return RunPlan(**{**numbers, **changes})


def _machine(
    clients: int = 0, /, *, resume: dict[str, Any] | None = None, **plan: Any
) -> RoundMachine:
    machine = RoundMachine(_plan(**plan), ScatterAndGather(), **(resume or {}))
    for number in range(1, clients + 1):
        machine.handle(ClientJoined(f"site-{number}"), 0.0)
    return machine


def _feed(machine: RoundMachine, *events: Any, now: float = 1.0) -> list[Action]:
    return [action for event in events for action in machine.handle(event, now)]


def test_a_run_goes_through_its_rounds() -> None:
    machine = _machine(1)
    assert _feed(machine, ClientJoined("site-2")) == [OpenRound(0, ("site-1", "site-2"))]
    done = _feed(machine, UpdateAccepted("site-2", 0), UpdateAccepted("site-1", 0))
    assert done == [CloseRound(0, ("site-1", "site-2"))]
    assert _feed(machine, Aggregated(0)) == [OpenRound(1, ("site-1", "site-2"))]
    assert machine.round == 1
    done = _feed(machine, UpdateAccepted("site-1", 1), UpdateAccepted("site-2", 1))
    assert done == [CloseRound(1, ("site-1", "site-2"))]
    assert _feed(machine, Aggregated(1)) == [FinishRun("finished", "")]
    assert _feed(machine, Tick(), ClientJoined("site-3")) == []


@pytest.mark.parametrize("first_round", [None, 2, 3])
def test_nothing_to_do_finishes_at_the_first_event(first_round: int | None) -> None:
    machine = _machine(start_round=2, num_rounds=2, resume={"first_round": first_round})
    assert _feed(machine, Tick()) == [FinishRun("finished", "")]


def test_a_run_of_no_rounds_finishes_at_once() -> None:
    assert _feed(_machine(num_rounds=0), Tick()) == [FinishRun("finished", "")]


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
        FinishRun("failed", "round 0 has 1 of 2 updates; site-1: TASK_FAILED: no data")
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
        FinishRun("failed", "round 0 has 0 of 2 updates; site-1: X")
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
        assert _feed(machine, StopRequested("SIGTERM")) == [FinishRun("stopped", "SIGTERM")]
        assert _feed(machine, Aggregated(0), Tick()) == []
        assert machine.waiting_for() == ""


def test_a_run_says_in_one_word_what_it_is_at() -> None:
    machine = _machine(1)
    assert machine.phase == "clients"
    _feed(machine, ClientJoined("site-2"))
    assert machine.phase == "updates"
    _feed(machine, UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0))
    assert machine.phase == "aggregation"
    _feed(machine, StopRequested("SIGTERM"))
    assert machine.phase == "over"


def test_who_is_missing_is_said_in_order_and_of_an_open_round_only() -> None:
    names = tuple(f"site-{n}" for n in range(10))
    machine = _machine(min_num_clients=10, round_deadline=1.0, resume={"active": names})
    assert machine.missing() == ()
    _feed(machine, Tick())
    assert machine.missing() == names
    machine = _machine(3, wait_after_min_clients=0.0)
    _feed(machine, UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0), Tick())
    assert machine.phase == "aggregation"
    assert machine.missing() == ()


def test_whose_task_has_failed_is_said_in_order_until_it_succeeds() -> None:
    machine = _machine(4, min_num_clients=3, task_attempts=1, resume=_sites("site-5", "site-6"))
    _feed(machine, UpdateFailed("site-3", 0, "X"), UpdateFailed("site-1", 0, "Y"))
    waits = "round 0: 0 of 3 updates; missing site-2, site-4"
    assert machine.waiting_for() == f"{waits}; failed site-1, site-3"
    assert machine.waiting_for(lambda name: f"{name} (away)") == (
        "round 0: 0 of 3 updates; missing site-2 (away); site-4 (away); failed site-1, site-3"
    )
    _feed(machine, UpdateAccepted("site-3", 0))
    assert machine.waiting_for().endswith("missing site-2, site-4; failed site-1")


class TestSampling:
    """``clients_per_round``."""

    def _opened(self, **plan: Any) -> tuple[RoundMachine, list[str], list[str]]:
        machine = _machine(5, clients_per_round=2, min_num_clients=2, expected_clients=6, **plan)
        (opened,) = _feed(machine, ClientJoined("site-6"))
        assert isinstance(opened, OpenRound)
        chosen = list(opened.participants)
        return machine, chosen, [f"site-{n}" for n in range(1, 7) if f"site-{n}" not in chosen]

    def test_so_many_work_and_nobody_late(self) -> None:
        machine, chosen, _ = self._opened()
        assert len(chosen) == 2
        assert _feed(machine, ClientJoined("site-7")) == []

    def test_the_sample_depends_on_seed_and_round(self) -> None:
        samples = {tuple(self._opened(seed=seed)[1]) for seed in range(20)}
        assert len(samples) > 5
        assert self._opened(seed=3)[1] == self._opened(seed=3)[1]

    def test_a_lost_participant_is_replaced_always_by_the_same(self) -> None:
        replacements = set()
        for _ in range(3):
            machine, chosen, others = self._opened()
            (invited,) = _feed(machine, ClientLeft(chosen[0], "lease"))
            assert isinstance(invited, Invite)
            assert invited.client in others
            replacements.add(invited.client)
            _feed(machine, UpdateAccepted(chosen[1], 0))
            assert _feed(machine, UpdateAccepted(invited.client, 0)) == [
                CloseRound(0, tuple(sorted([chosen[1], invited.client])))
            ]
        assert len(replacements) == 1

    def test_a_participant_that_answered_is_not_replaced(self) -> None:
        machine, chosen, _ = self._opened()
        _feed(machine, UpdateAccepted(chosen[0], 0))
        assert _feed(machine, ClientLeft(chosen[0], "quit")) == []

    def test_one_that_failed_for_good_is_replaced(self) -> None:
        machine, chosen, others = self._opened(task_attempts=1)
        (invited,) = _feed(machine, UpdateFailed(chosen[0], 0, "X"))
        assert isinstance(invited, Invite)
        assert invited.client in others

    def test_nobody_is_replaced_while_the_minimum_can_be_met(self) -> None:
        machine = _machine(6, clients_per_round=3, min_num_clients=2, expected_clients=6)
        machine = _machine(5, clients_per_round=3, min_num_clients=2, expected_clients=6)
        (opened,) = _feed(machine, ClientJoined("site-6"))
        assert isinstance(opened, OpenRound)
        assert _feed(machine, ClientLeft(opened.participants[0], "lease")) == []

    def test_a_newcomer_fills_a_gap_that_nobody_could(self) -> None:
        machine = _machine(2, clients_per_round=2)
        _feed(machine, ClientLeft("site-1", "lease"))
        assert _feed(machine, ClientJoined("site-3")) == [Invite(0, "site-3", 1)]

    def test_a_sample_smaller_than_the_minimum_needs_only_itself(self) -> None:
        machine = _machine(3, min_num_clients=4, clients_per_round=1)
        (opened,) = _feed(machine, ClientJoined("site-4"))
        assert isinstance(opened, OpenRound)
        (worker,) = opened.participants
        assert _feed(machine, UpdateAccepted(worker, 0)) == [CloseRound(0, (worker,))]


class TestResuming:
    """A server that takes up an unfinished run."""

    def test_the_open_round_goes_on_for_those_who_were_in_it(self) -> None:
        sites = ("site-1", "site-2", "site-3")
        resume = {"first_round": 4, "accepted": sites[:2], "active": sites, "participants": sites}
        machine = _machine(num_rounds=6, resume=resume)
        assert _feed(machine, Tick(), now=50.0) == [OpenRound(4, sites), SetTimer(60.0)]
        assert machine.waiting_for() == "round 4: 2 of 2 updates; missing site-3"
        assert _feed(machine, ClientJoined("site-1"), now=51.0) == []
        assert _feed(machine, UpdateAccepted("site-3", 4), now=52.0) == [CloseRound(4, sites)]

    def test_it_closes_without_those_who_do_not_come_back(self) -> None:
        sites = ("site-1", "site-2", "site-3")
        resume = {"first_round": 4, "accepted": sites[:2], "active": sites, "participants": sites}
        machine = _machine(num_rounds=6, resume=resume)
        _feed(machine, Tick())
        assert _feed(machine, ClientLeft("site-3", "lease")) == [CloseRound(4, sites[:2])]

    def test_a_sample_is_not_drawn_again(self) -> None:
        active = tuple(f"site-{n}" for n in range(9))
        resume = {"active": active, "participants": ("site-7", "site-8")}
        machine = _machine(clients_per_round=2, resume=resume)
        assert _feed(machine, Tick()) == [OpenRound(0, ("site-7", "site-8"))]

    def test_a_client_that_joined_just_before_works_too(self) -> None:
        resume = {"active": ("a", "b", "c"), "participants": ("a", "b")}
        assert _feed(_machine(resume=resume), Tick()) == [OpenRound(0, ("a", "b", "c"))]

    def test_whoever_was_in_it_and_is_not_there_is_in_it_still(self) -> None:
        resume = {"active": ("a", "c"), "participants": ("a", "b")}
        assert _feed(_machine(resume=resume), Tick()) == [OpenRound(0, ("a", "b", "c"))]

    def test_all_whose_tasks_had_failed_are_asked_again_in_order(self) -> None:
        sites = tuple("abcdefgh")
        resume = {"active": sites, "participants": sites, "failures": dict.fromkeys(sites, 2)}
        machine = _machine(min_num_clients=8, task_attempts=3, resume=resume)
        assert _feed(machine, Tick())[1:] == [Invite(0, name, 3) for name in sites]

    def test_a_round_that_had_all_updates_closes_again(self) -> None:
        resume = {"accepted": ("a", "b"), "active": ("a", "b"), "participants": ("a", "b")}
        assert _feed(_machine(resume=resume), Tick()) == [
            OpenRound(0, ("a", "b")),
            CloseRound(0, ("a", "b")),
        ]

    def test_attempts_are_counted_on(self) -> None:
        sites = ("a", "b", "c")
        failures = {"a": 1, "b": 1, "stranger": 1}
        resume = {
            "accepted": ("b",),
            "active": sites,
            "participants": sites,
            "failures": failures,
        }
        machine = _machine(resume=resume)
        assert _feed(machine, Tick()) == [OpenRound(0, sites), Invite(0, "a", 2)]
        assert _feed(machine, UpdateFailed("c", 0, "X")) == [Invite(0, "c", 2)]
        assert _feed(machine, UpdateFailed("a", 0, "X"), UpdateFailed("c", 0, "Y")) == [
            FinishRun("failed", "round 0 has 1 of 2 updates; a: X; c: Y")
        ]

    def test_without_knowing_who_was_in_it_the_round_waits_for_enough(self) -> None:
        machine = _machine(resume={"first_round": 1, "accepted": ("a",)})
        assert _feed(machine, Tick()) == []
        assert _feed(machine, ClientJoined("b")) == [OpenRound(1, ("a", "b"))]
        assert _feed(machine, UpdateAccepted("b", 1)) == [CloseRound(1, ("a", "b"))]


def _sites(*admitted: str, known: Sequence[str] = ()) -> dict[str, Any]:
    return {"sites": Sites(frozenset({*admitted, *known}), frozenset(admitted))}


class TestSites:
    """A federation with certificates."""

    def test_a_failing_site_does_not_end_the_run_while_another_may_come(self) -> None:
        machine = _machine(task_attempts=1, resume=_sites("bad", "site-1", "site-2"))
        _feed(machine, ClientJoined("site-1"), ClientJoined("bad"), UpdateAccepted("site-1", 0))
        assert _feed(machine, UpdateFailed("bad", 0, "NO")) == []
        assert machine.stalled
        assert machine.waiting_for() == (
            "round 0: 1 of 2 updates; nobody is there to send one; failed bad"
        )
        assert _feed(machine, ClientJoined("site-2")) == [Invite(0, "site-2", 1)]
        assert not machine.stalled
        assert _feed(machine, UpdateAccepted("site-2", 0)) == [CloseRound(0, ("site-1", "site-2"))]
        assert _feed(machine, Aggregated(0)) == [OpenRound(1, ("bad", "site-1", "site-2"))]

    def test_a_run_of_which_every_site_has_failed_ends(self) -> None:
        machine = _machine(2, task_attempts=1, resume=_sites("site-1", "site-2"))
        assert _feed(machine, UpdateFailed("site-1", 0, "A")) == []
        assert _feed(machine, UpdateFailed("site-2", 0, "B")) == [
            FinishRun("failed", "round 0 has 0 of 2 updates; site-1: A; site-2: B")
        ]

    def test_the_causes_are_told_by_name_whoever_failed_first(self) -> None:
        machine = _machine(2, task_attempts=1, resume=_sites("site-1", "site-2"))
        failed = _feed(machine, UpdateFailed("site-2", 0, "B"), UpdateFailed("site-1", 0, "A"))
        reason = "round 0 has 0 of 2 updates; site-1: A; site-2: B"
        assert failed == [FinishRun("failed", reason)]

    def test_sites_that_are_not_admitted_are_not_waited_for(self) -> None:
        sites = _sites("site-1", "site-2", known=["site-3"])
        machine = _machine(2, task_attempts=1, resume=sites)
        _feed(machine, UpdateAccepted("site-1", 0))
        assert _feed(machine, UpdateFailed("site-2", 0, "B")) == [
            FinishRun("failed", "round 0 has 1 of 2 updates; site-2: B")
        ]

    def test_instances_of_one_site_do_not_make_the_minimum(self) -> None:
        machine = _machine(resume=_sites("a", "b"))
        _feed(machine, ClientJoined("a"), ClientJoined("a_1"))
        assert _feed(machine, UpdateAccepted("a", 0), UpdateAccepted("a_1", 0)) == []
        assert machine.waiting_for() == (
            "round 0: 1 of 2 updates and 1 of further instances; nobody is there to send one"
        )
        _feed(machine, ClientJoined("b"))
        assert _feed(machine, UpdateAccepted("b", 0)) == [CloseRound(0, ("a", "a_1", "b"))]

    def test_a_sample_of_one_sites_instances_gets_another_site(self) -> None:
        active = ("a", "a_1", "b")
        resume = {"active": active, "participants": ("a", "a_1"), **_sites("a", "b")}
        machine = _machine(clients_per_round=2, resume=resume)
        assert _feed(machine, Tick()) == [OpenRound(0, ("a", "a_1")), Invite(0, "b", 1)]

    def test_nobody_is_replaced_by_an_instance_of_a_site_that_answers(self) -> None:
        resume = {"active": ("a", "a_1", "b"), "participants": ("a", "b"), **_sites("a", "b")}
        machine = _machine(clients_per_round=2, resume=resume)
        assert _feed(machine, Tick()) == [OpenRound(0, ("a", "b"))]
        assert _feed(machine, ClientLeft("b", "quit")) == []


class TestWithdrawing:
    """Updates that were accepted and cannot be aggregated."""

    def _closed(self, clients: int, /, **changes: Any) -> RoundMachine:
        machine = _machine(clients, **changes)
        _feed(machine, *(UpdateAccepted(f"site-{n}", 0) for n in range(1, clients + 1)))
        return machine

    def test_the_round_is_closed_again_without_them_if_enough_are_left(self) -> None:
        machine = self._closed(3)
        assert _feed(machine, UpdatesWithdrawn(0, {"site-2": "NON_FINITE"})) == [
            CloseRound(0, ("site-1", "site-3"))
        ]
        assert _feed(machine, Aggregated(0)) == [OpenRound(1, ("site-1", "site-2", "site-3"))]

    def test_else_they_are_asked_again_as_after_any_failure(self) -> None:
        machine = self._closed(2)
        withdrawn = UpdatesWithdrawn(0, {"site-2": "NON_FINITE: x"})
        assert _feed(machine, withdrawn) == [Invite(0, "site-2", 2)]
        assert _feed(machine, UpdateAccepted("site-2", 0)) == [CloseRound(0, ("site-1", "site-2"))]
        assert _feed(machine, withdrawn) == [
            FinishRun("failed", "round 0 has 1 of 2 updates; site-2: NON_FINITE: x")
        ]

    def test_all_of_them_are_asked_again_in_order(self) -> None:
        machine = self._closed(9, min_num_clients=9)
        names = [f"site-{n}" for n in range(1, 9)]
        withdrawn = UpdatesWithdrawn(0, dict.fromkeys(reversed(names), "X"))
        assert _feed(machine, withdrawn) == [Invite(0, name, 2) for name in names]

    def test_or_others_are_waited_for(self) -> None:
        machine = self._closed(2, task_attempts=1, resume=_sites("site-1", "site-2", "site-3"))
        assert _feed(machine, UpdatesWithdrawn(0, {"site-2": "X"})) == []
        assert machine.stalled
        assert _feed(machine, ClientJoined("site-3")) == [Invite(0, "site-3", 1)]
        assert _feed(machine, UpdateAccepted("site-3", 0)) == [CloseRound(0, ("site-1", "site-3"))]

    def test_whoever_has_left_meanwhile_is_asked_anew_when_it_is_back(self) -> None:
        machine = self._closed(2)
        _feed(machine, ClientLeft("site-2", "quit"))
        assert _feed(machine, UpdatesWithdrawn(0, {"site-2": "X"})) == []
        assert _feed(machine, ClientJoined("site-2")) == [Invite(0, "site-2", 2)]

    def test_an_attempt_before_a_restart_counts_though_it_was_accepted_in_the_end(self) -> None:
        """The client had had attempt 2, was asked for it once more and never heard of it."""
        resume = {
            "active": ("site-1", "site-2", "site-3"),
            "participants": ("site-1", "site-2"),
            "accepted": ("site-1",),
            "failures": {"site-1": 1},
        }
        machine = _machine(clients_per_round=2, task_attempts=3, resume=resume)
        assert _feed(machine, Tick()) == [OpenRound(0, ("site-1", "site-2"))]
        assert _feed(machine, UpdateAccepted("site-2", 0)) == [CloseRound(0, ("site-1", "site-2"))]
        assert _feed(machine, UpdatesWithdrawn(0, {"site-1": "X"})) == [Invite(0, "site-1", 3)]

    def test_of_another_round_or_an_open_one_nothing_is_withdrawn(self) -> None:
        machine = self._closed(2)
        assert _feed(machine, UpdatesWithdrawn(1, {"site-2": "X"})) == []
        assert machine.waiting_for() == "round 0: aggregating 2 updates"
        machine = _machine(2)
        _feed(machine, UpdateAccepted("site-1", 0))
        assert _feed(machine, UpdatesWithdrawn(0, {"site-1": "X"})) == []
        assert machine.waiting_for() == "round 0: 1 of 2 updates; missing site-2"


class _RoundRobin:
    """One after the other, by the round's number."""

    def participants(
        self, active: Sequence[str], *, round_number: int, seed: int, per_round: int | None
    ) -> Sequence[str]:
        return [active[round_number % len(active)]]

    def admits_late(self, *, per_round: int | None) -> bool:
        return False


def test_another_workflow_decides_who_works() -> None:
    machine = RoundMachine(_plan(), _RoundRobin(), active=("a", "b"))
    assert _feed(machine, Tick()) == [OpenRound(0, ("a",))]
    assert _feed(machine, ClientJoined("c")) == []
    assert _feed(machine, UpdateAccepted("a", 0)) == [CloseRound(0, ("a",))]
    assert _feed(machine, Aggregated(0)) == [OpenRound(1, ("b",))]


def test_another_workflow_chooses_among_stand_ins_in_order() -> None:
    active = tuple("abcdefgh")
    machine = RoundMachine(_plan(), _RoundRobin(), active=active)
    assert _feed(machine, Tick()) == [OpenRound(0, ("a",))]
    assert _feed(machine, ClientLeft("a", "lease")) == [Invite(0, "b", 1)]
