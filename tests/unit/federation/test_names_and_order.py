# SPDX-License-Identifier: Apache-2.0
"""What a run is at, whom it waits for, and in which order it names and asks."""

from __future__ import annotations

from mmar_runner.federation.actions import FinishRun, Invite, OpenRound
from mmar_runner.federation.events import (
    ClientJoined,
    StopRequested,
    Tick,
    UpdateAccepted,
    UpdateFailed,
    UpdatesWithdrawn,
)
from mmar_runner.federation.run_status import RunStatus
from tests.unit.federation.machines import _feed, _machine, _sites


def test_a_run_of_no_rounds_finishes_at_once() -> None:
    assert _feed(_machine(num_rounds=0), Tick()) == [FinishRun(RunStatus.FINISHED, "")]


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


def test_whoever_was_in_it_and_is_not_there_is_in_it_still() -> None:
    resume = {"active": ("a", "c"), "participants": ("a", "b")}
    assert _feed(_machine(resume=resume), Tick()) == [OpenRound(0, ("a", "b", "c"))]


def test_all_whose_tasks_had_failed_are_asked_again_in_order() -> None:
    sites = tuple("abcdefgh")
    resume = {"active": sites, "participants": sites, "failures": dict.fromkeys(sites, 2)}
    machine = _machine(min_num_clients=8, task_attempts=3, resume=resume)
    assert _feed(machine, Tick())[1:] == [Invite(0, name, 3) for name in sites]


def test_all_of_them_are_asked_again_in_order() -> None:
    machine = _machine(9, min_num_clients=9)
    _feed(machine, *(UpdateAccepted(f"site-{n}", 0) for n in range(1, 10)))
    names = [f"site-{n}" for n in range(1, 9)]
    withdrawn = UpdatesWithdrawn(0, dict.fromkeys(reversed(names), "X"))
    assert _feed(machine, withdrawn) == [Invite(0, name, 2) for name in names]


def test_the_causes_are_told_by_name_whoever_failed_first() -> None:
    machine = _machine(2, task_attempts=1, resume=_sites("site-1", "site-2"))
    failed = _feed(machine, UpdateFailed("site-2", 0, "B"), UpdateFailed("site-1", 0, "A"))
    reason = "round 0 has 0 of 2 updates; site-1: A; site-2: B"
    assert failed == [FinishRun(RunStatus.FAILED, reason)]
