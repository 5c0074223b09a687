# SPDX-License-Identifier: Apache-2.0
"""Who works in a round of which a sample is asked, and which sites count."""

from __future__ import annotations

from typing import Any

from mmar_runner.federation.actions import CloseRound, FinishRun, Invite, OpenRound
from mmar_runner.federation.events import (
    Aggregated,
    ClientJoined,
    ClientLeft,
    Tick,
    UpdateAccepted,
    UpdateFailed,
)
from mmar_runner.federation.round_machine import RoundMachine
from mmar_runner.federation.run_status import RunStatus
from tests.unit.federation.machines import _feed, _machine, _sites


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
            FinishRun(RunStatus.FAILED, "round 0 has 0 of 2 updates; site-1: A; site-2: B")
        ]

    def test_a_reason_that_several_have_is_told_once(self) -> None:
        machine = _machine(2, task_attempts=1, resume=_sites("site-1", "site-2"))
        _feed(machine, UpdateFailed("site-2", 0, "no file"))
        assert _feed(machine, UpdateFailed("site-1", 0, "no file")) == [
            FinishRun(RunStatus.FAILED, "round 0 has 0 of 2 updates; site-1, site-2: no file")
        ]

    def test_sites_that_are_not_admitted_are_not_waited_for(self) -> None:
        sites = _sites("site-1", "site-2", known=["site-3"])
        machine = _machine(2, task_attempts=1, resume=sites)
        _feed(machine, UpdateAccepted("site-1", 0))
        assert _feed(machine, UpdateFailed("site-2", 0, "B")) == [
            FinishRun(RunStatus.FAILED, "round 0 has 1 of 2 updates; site-2: B")
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
