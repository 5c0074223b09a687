# SPDX-License-Identifier: Apache-2.0
"""What an administrator decides of an open round, and what the machine makes of it."""

from __future__ import annotations

from typing import Any

from mmar_runner.federation.actions import CloseRound, Invite, OpenRound, SetTimer
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
from tests.unit.federation.machines import _feed, _machine, _sites


class TestMinimum:
    """Of how many sites a round needs updates, from now on."""

    def test_a_lower_one_closes_a_round_that_has_enough_for_it(self) -> None:
        machine = _machine(3, min_num_clients=3, wait_after_min_clients=0.0)
        _feed(machine, UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0))
        assert _feed(machine, MinimumChanged(2)) == [CloseRound(0, ("site-1", "site-2"))]
        assert machine.minimum == 2

    def test_others_are_waited_for_as_long_as_after_any_minimum(self) -> None:
        machine = _machine(3, min_num_clients=3)
        _feed(machine, UpdateAccepted("site-1", 0))
        assert _feed(machine, MinimumChanged(1), now=5.0) == [SetTimer(15.0)]
        assert _feed(machine, Tick(), now=15.0) == [CloseRound(0, ("site-1",))]

    def test_a_higher_one_keeps_a_round_open_that_had_enough(self) -> None:
        machine = _machine(2)
        _feed(machine, ClientJoined("site-3"), UpdateAccepted("site-1", 0))
        assert _feed(machine, UpdateAccepted("site-2", 0), now=2.0) == [SetTimer(12.0)]
        assert _feed(machine, MinimumChanged(3), now=3.0) == []
        assert _feed(machine, Tick(), now=12.0) == []
        assert machine.waiting_for() == "round 0: 2 of 3 updates; missing site-3"
        sites = ("site-1", "site-2", "site-3")
        assert _feed(machine, UpdateAccepted("site-3", 0), now=99.0) == [CloseRound(0, sites)]

    def test_rounds_that_follow_need_as_many(self) -> None:
        machine = _machine(2)
        _feed(machine, UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0))
        assert _feed(machine, MinimumChanged(3)) == []  # the round is closing
        assert _feed(machine, Aggregated(0)) == []
        assert machine.waiting_for() == "round 1: 2 of 3 clients are there"
        sites = ("site-1", "site-2", "site-3")
        assert _feed(machine, ClientJoined("site-3")) == [OpenRound(1, sites)]

    def test_a_lower_one_opens_a_round_that_waited_for_clients(self) -> None:
        machine = _machine(2, min_num_clients=3)
        assert _feed(machine, MinimumChanged(2)) == [OpenRound(0, ("site-1", "site-2"))]

    def test_of_a_sample_no_more_are_needed_than_were_drawn(self) -> None:
        machine = _machine(4, min_num_clients=1, clients_per_round=2)
        _feed(machine, *(UpdateAccepted(name, 0) for name in machine.missing()))
        _feed(machine, Aggregated(0), MinimumChanged(3))
        assert machine.waiting_for().startswith("round 1: 0 of 2 updates")

    def test_it_is_said_whether_the_open_round_could_reach_it(self) -> None:
        machine = _machine(3, task_attempts=1)
        _feed(machine, UpdateFailed("site-1", 0, "X"), UpdateAccepted("site-2", 0))
        assert machine.can_reach(3)  # site-3 is at work
        _feed(machine, MinimumChanged(1), UpdateAccepted("site-3", 0))
        assert machine.phase == "aggregation"
        assert machine.can_reach(3)  # it is the next round's
        machine = _machine(2, min_num_clients=1, task_attempts=1)
        _feed(machine, ClientJoined("site-3"), UpdateFailed("site-1", 0, "X"))
        assert not _machine_without(machine, "site-2", "site-3").can_reach(3)


def _machine_without(machine: Any, *clients: str) -> Any:
    for client in clients:
        _feed(machine, ClientLeft(client, "gone"))
    return machine


class TestRemoval:
    """A client that an administrator removes, and what it sent."""

    def test_its_update_does_not_count_any_more(self) -> None:
        machine = _machine(2)
        _feed(machine, UpdateAccepted("site-1", 0), ClientRemoved("site-1"))
        assert machine.waiting_for() == "round 0: 0 of 2 updates; missing site-2"
        assert _feed(machine, UpdateAccepted("site-2", 0)) == []
        assert machine.stalled
        assert machine.waiting_for().endswith("1 of 2 updates; nobody is there to send one")

    def test_the_round_waits_again_if_too_few_are_left(self) -> None:
        machine = _machine(2)
        _feed(machine, ClientJoined("site-3"))
        _feed(machine, UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0), now=2.0)
        assert _feed(machine, ClientRemoved("site-1"), now=3.0) == []
        assert _feed(machine, Tick(), now=12.0) == []
        closed = CloseRound(0, ("site-2", "site-3"))
        assert _feed(machine, UpdateAccepted("site-3", 0), now=20.0) == [closed]

    def test_who_comes_anew_under_its_name_works_anew(self) -> None:
        machine = _machine(2)
        _feed(machine, UpdateAccepted("site-1", 0), ClientRemoved("site-1"))
        assert not machine.works("site-1")
        assert _feed(machine, ClientJoined("site-1")) == [Invite(0, "site-1", 2)]
        assert machine.works("site-1")
        assert machine.missing() == ("site-1", "site-2")

    def test_that_it_was_removed_is_no_failure(self) -> None:
        machine = _machine(2)
        _feed(machine, ClientRemoved("site-1"), ClientJoined("site-1"))
        assert _feed(machine, UpdateFailed("site-1", 0, "X")) == [Invite(0, "site-1", 3)]

    def test_of_a_sampled_round_another_is_drawn(self) -> None:
        machine = _machine(clients_per_round=2)
        _feed(machine, ClientJoined("a"), ClientJoined("b"))
        _feed(machine, ClientJoined("c"))
        assert _feed(machine, UpdateAccepted("a", 0), ClientRemoved("a")) == [Invite(0, "c", 1)]

    def test_a_round_that_is_added_up_keeps_its_update(self) -> None:
        machine = _machine(2)
        _feed(machine, UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0))
        assert not machine.works("site-1")
        assert _feed(machine, ClientRemoved("site-1")) == []
        assert machine.waiting_for() == "round 0: aggregating 2 updates"
        assert _feed(machine, Aggregated(0)) == []
        assert machine.waiting_for() == "round 1: 1 of 2 clients are there"

    def test_also_if_that_round_has_to_be_opened_again(self) -> None:
        machine = _machine(2)
        _feed(machine, UpdateAccepted("site-1", 0), UpdateAccepted("site-2", 0))
        _feed(machine, ClientRemoved("site-1"))
        assert _feed(machine, UpdatesWithdrawn(0, {"site-2": "X"})) == [Invite(0, "site-2", 2)]
        again = CloseRound(0, ("site-1", "site-2"))
        assert _feed(machine, UpdateAccepted("site-2", 0)) == [again]

    def test_a_run_does_not_fail_because_somebody_was_removed(self) -> None:
        machine = _machine(2, min_num_clients=1, task_attempts=1)
        _feed(machine, ClientRemoved("site-1"), ClientRemoved("site-2"))
        assert machine.stalled
        assert machine.phase == "updates"
        _feed(machine, ClientJoined("site-3"))
        assert _feed(machine, UpdateFailed("site-3", 0, "X")) == []  # one of them may come anew

    def test_after_a_restart_it_is_waited_for_by_nobody(self) -> None:
        resume = {
            "active": ("site-2",),
            "participants": ("site-1", "site-2"),
            "again": {"site-1": 1},
            "removed": ("site-1",),
        }
        machine = _machine(resume=resume)
        assert _feed(machine, Tick()) == [OpenRound(0, ("site-1", "site-2"))]
        assert machine.waiting_for() == "round 0: 0 of 2 updates; missing site-2"
        assert _feed(machine, ClientJoined("site-1")) == [Invite(0, "site-1", 2)]

    def test_what_an_earlier_process_accepted_leaves_a_round_that_is_not_open_yet(self) -> None:
        machine = _machine(resume={"first_round": 1, "accepted": ("a",)})
        assert machine.works("a")
        _feed(machine, ClientRemoved("a"))
        assert _feed(machine, ClientJoined("b")) == []
        opened = [OpenRound(1, ("a", "b")), Invite(1, "a", 2)]
        assert _feed(machine, ClientJoined("a")) == opened
        assert machine.missing() == ("a", "b")


class TestGivenAgain:
    """A task that a client is given again although it did not fail."""

    def test_it_is_another_attempt_and_no_failure(self) -> None:
        machine = _machine(2)
        assert _feed(machine, TaskGivenAgain("site-1")) == [Invite(0, "site-1", 2)]
        assert _feed(machine, UpdateFailed("site-1", 0, "X")) == [Invite(0, "site-1", 3)]
        assert _feed(machine, UpdateFailed("site-1", 0, "X")) == []
        assert machine.missing() == ("site-2",)

    def test_who_had_failed_for_good_is_forgiven(self) -> None:
        machine = _machine(2, task_attempts=1)
        _feed(machine, UpdateFailed("site-1", 0, "X"))
        assert machine.missing() == ("site-2",)
        assert _feed(machine, TaskGivenAgain("site-1")) == [Invite(0, "site-1", 3)]
        assert machine.missing() == ("site-1", "site-2")

    def test_who_is_done_or_not_asked_is_given_nothing(self) -> None:
        machine = _machine(2)
        _feed(machine, UpdateAccepted("site-1", 0))
        assert _feed(machine, TaskGivenAgain("site-1"), TaskGivenAgain("stranger")) == []

    def test_attempts_are_counted_on_after_a_restart(self) -> None:
        sites = {"active": ("a", "b"), "participants": ("a", "b")}
        machine = _machine(resume={**sites, "failures": {"a": 1}, "again": {"a": 2}})
        assert _feed(machine, Tick()) == [OpenRound(0, ("a", "b")), Invite(0, "a", 4)]


def test_a_removed_site_may_still_come_where_sites_are_known() -> None:
    machine = _machine(2, task_attempts=1, resume=_sites("site-1", "site-2"))
    _feed(machine, ClientRemoved("site-1"), UpdateAccepted("site-2", 0))
    assert machine.stalled
