# SPDX-License-Identifier: Apache-2.0
"""A run that goes on after a restart, or takes an update back."""

from __future__ import annotations

from typing import Any

from mmar_runner.federation.actions import CloseRound, FinishRun, Invite, OpenRound, SetTimer
from mmar_runner.federation.events import (
    Aggregated,
    ClientJoined,
    ClientLeft,
    Tick,
    UpdateAccepted,
    UpdateFailed,
    UpdatesWithdrawn,
)
from mmar_runner.federation.round_machine import RoundMachine
from mmar_runner.federation.run_status import RunStatus
from tests.unit.federation.machines import _feed, _machine, _sites


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
            FinishRun(RunStatus.FAILED, "round 0 has 1 of 2 updates; a: X; c: Y")
        ]

    def test_without_knowing_who_was_in_it_the_round_waits_for_enough(self) -> None:
        machine = _machine(resume={"first_round": 1, "accepted": ("a",)})
        assert _feed(machine, Tick()) == []
        assert _feed(machine, ClientJoined("b")) == [OpenRound(1, ("a", "b"))]
        assert _feed(machine, UpdateAccepted("b", 1)) == [CloseRound(1, ("a", "b"))]


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
            FinishRun(RunStatus.FAILED, "round 0 has 1 of 2 updates; site-2: NON_FINITE: x")
        ]

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
