# SPDX-License-Identifier: Apache-2.0
"""Every model on every site's data, and a moment at which nobody waits any more."""

from __future__ import annotations

from typing import Any

import pytest

from mmar_runner.federation.actions import SetTimer
from mmar_runner.federation.cross_site import (
    CellAnswered,
    CellEmpty,
    CrossSiteMachine,
    CrossSitePlan,
    ModelGiven,
    ModelLacking,
    ValidationOver,
)
from mmar_runner.federation.events import ClientJoined, ClientLeft, ClientRemoved, Tick

PLAN = CrossSitePlan(submit_seconds=10, deadline_seconds=60, absent_seconds=20)


def machine(*participants: str, **more: Any) -> CrossSiteMachine:
    return CrossSiteMachine(
        PLAN, 0.0, participants=participants, server_models=("final", "best"), **more
    )


def feed(made: CrossSiteMachine, *events: Any, now: float = 1.0) -> list[Any]:
    return [action for event in events for action in made.handle(event, now)]


def answer(made: CrossSiteMachine, client: str) -> list[Any]:
    return feed(made, *(CellAnswered(client, owner) for owner in made.outstanding(client)))


def test_every_model_is_validated_on_every_clients_data() -> None:
    made = machine("b", "a")
    assert feed(made, Tick()) == [SetTimer(10.0)]
    assert made.outstanding("a") == ["final", "best"], "the server's are there at once"
    assert made.awaits_model("a")
    feed(made, ModelGiven("a"))
    assert not made.awaits_model("a")
    assert made.outstanding("b") == ["final", "best", "a"]
    assert feed(made, ModelGiven("b")) == [SetTimer(60.0)]
    assert made.owners == ("final", "best", "a", "b")
    answer(made, "a")
    assert made.missing() == ["b"]
    assert made.waiting_for() == (
        "cross-site validation: 4 of 8 validations are settled; missing b"
    )
    assert answer(made, "b") == [ValidationOver()]
    assert (made.waiting_for(), made.missing()) == ("", [])
    assert feed(made, ClientLeft("a", "x"), Tick()) == []


def test_nobody_who_takes_part_is_waited_for() -> None:
    assert feed(machine(), Tick()) == [ValidationOver()]


def test_a_model_that_does_not_come_in_time_has_no_column() -> None:
    made = machine("a", "b")
    feed(made, ModelGiven("a"))
    assert feed(made, Tick(), now=9.9) == [SetTimer(10.0)]
    assert feed(made, Tick(), now=10.0) == [
        ModelLacking("b", "it sent no best model within 10 s"),
        SetTimer(60.0),
    ]
    assert made.owners == ("final", "best", "a")
    assert not made.awaits_model("b")
    assert made.outstanding("b") == ["final", "best", "a"], "it validates all the same"


def test_a_client_may_say_that_it_has_none() -> None:
    made = machine("a")
    assert feed(made, ModelLacking("a", "none")) == [SetTimer(60.0)]
    assert answer(made, "a") == [ValidationOver()]


def test_what_is_not_answered_in_time_stays_empty() -> None:
    made = machine("a", "b")
    feed(made, ModelGiven("a"), ModelLacking("b", "none"))
    answer(made, "a")
    late = "it did not answer within 60 s"
    assert feed(made, Tick(), now=60.0) == [
        *(CellEmpty("b", owner, late) for owner in ("final", "best", "a")),
        ValidationOver(),
    ]


def test_a_client_that_is_back_in_time_goes_on_and_one_that_is_not_is_given_up() -> None:
    made = machine("a", "b")
    feed(made, ModelGiven("a"), ModelGiven("b"))
    answer(made, "a")
    assert feed(made, ClientLeft("b", "lease"), now=5.0) == [SetTimer(25.0)]
    assert feed(made, ClientJoined("b"), now=20.0) == [SetTimer(60.0)]
    assert feed(made, Tick(), now=25.0) == [SetTimer(60.0)]
    feed(made, CellAnswered("b", "final"), ClientLeft("b", "lease"), now=30.0)
    why = "it left and was not back after 20 s"
    assert feed(made, Tick(), now=50.0) == [
        *(CellEmpty("b", owner, why) for owner in ("best", "a", "b")),
        ValidationOver(),
    ]


@pytest.mark.parametrize("sent", [False, True])
def test_one_that_is_removed_is_not_waited_for(sent: bool) -> None:
    made = machine("a", "b")
    feed(made, ModelGiven("a"), *([ModelGiven("b")] if sent else []))
    answer(made, "a")
    found = feed(made, ClientRemoved("b"))
    assert found[-1] == ValidationOver()
    lacking = [ModelLacking("b", "it was removed from the run")]
    assert [one for one in found if isinstance(one, ModelLacking)] == ([] if sent else lacking)
    owners = ["final", "best", "a", *(["b"] if sent else [])]
    assert [one.owner for one in found if isinstance(one, CellEmpty)] == owners


def test_strangers_and_second_answers_change_nothing() -> None:
    made = machine("a")
    feed(made, ModelGiven("a"), ModelLacking("a", "late"), ModelGiven("x"), ClientLeft("x", "l"))
    feed(made, CellAnswered("x", "final"), CellAnswered("a", "y"), now=2.0)
    assert made.owners == ("final", "best", "a")
    assert made.outstanding("x") == []
    assert made.outstanding("a") == ["final", "best", "a"]


def test_a_server_that_is_back_asks_only_for_what_is_missing() -> None:
    made = machine("a", "b", models={"a": True, "b": False}, settled=[("a", "final")])
    feed(made, Tick())
    assert made.outstanding("a") == ["best", "a"]
    assert made.outstanding("b") == ["final", "best", "a"]
    answer(made, "a")
    assert answer(made, "b") == [ValidationOver()]
