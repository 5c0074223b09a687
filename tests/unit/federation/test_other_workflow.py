# SPDX-License-Identifier: Apache-2.0
"""Another workflow decides who works."""

from __future__ import annotations

from collections.abc import Sequence

from mmar_runner.federation.actions import CloseRound, Invite, OpenRound
from mmar_runner.federation.events import Aggregated, ClientJoined, ClientLeft, Tick, UpdateAccepted
from mmar_runner.federation.round_machine import RoundMachine
from mmar_runner.interfaces.workflow import Workflow
from tests.unit.federation.machines import _feed, _plan


class _ByNumber(Workflow):
    """One after the other, by the round's number."""

    def participants(
        self, active: Sequence[str], *, round_number: int, seed: int, per_round: int | None
    ) -> Sequence[str]:
        return [active[round_number % len(active)]]

    def admits_late(self, *, per_round: int | None) -> bool:
        return False


def test_another_workflow_decides_who_works() -> None:
    machine = RoundMachine(_plan(), _ByNumber(), active=("a", "b"))
    assert _feed(machine, Tick()) == [OpenRound(0, ("a",))]
    assert _feed(machine, ClientJoined("c")) == []
    assert _feed(machine, UpdateAccepted("a", 0)) == [CloseRound(0, ("a",))]
    assert _feed(machine, Aggregated(0)) == [OpenRound(1, ("b",))]


def test_another_workflow_chooses_among_stand_ins_in_order() -> None:
    active = tuple("abcdefgh")
    machine = RoundMachine(_plan(), _ByNumber(), active=active)
    assert _feed(machine, Tick()) == [OpenRound(0, ("a",))]
    assert _feed(machine, ClientLeft("a", "lease")) == [Invite(0, "b", 1)]
