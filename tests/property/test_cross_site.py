# SPDX-License-Identifier: Apache-2.0
"""Whatever sites do or do not, cross-site validation ends in time, with every cell settled once."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

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

_CLIENTS = st.sampled_from(["a", "b", "c", "stranger"])
_EVENTS = st.one_of(
    st.builds(ClientJoined, _CLIENTS),
    st.builds(ClientLeft, _CLIENTS, st.just("lease")),
    st.builds(ClientRemoved, _CLIENTS),
    st.builds(ModelGiven, _CLIENTS),
    st.builds(ModelLacking, _CLIENTS, st.just("none")),
    st.just("answer"),
    st.just(Tick()),
)
_PLAN = CrossSitePlan(submit_seconds=10, deadline_seconds=50, absent_seconds=20)


@given(
    steps=st.lists(st.tuples(_EVENTS, _CLIENTS, st.floats(0, 5)), max_size=40),
    killed_at=st.none() | st.integers(0, 20),
)
@settings(max_examples=200, deadline=None)
def test_it_ends_in_time_and_settles_every_cell_once(
    steps: list[tuple[Any, str, float]], killed_at: int | None
) -> None:
    book = _Book()
    book.feed(Tick())
    for index, (event, client, seconds) in enumerate(steps):
        book.now += seconds
        book.fire_timer()
        if index == killed_at:
            book.restart()
        outstanding = book.machine.outstanding(client)
        if event == "answer":
            if outstanding:
                book.settle(client, outstanding[0])
                book.feed(CellAnswered(client, outstanding[0]))
        else:
            book.learn(event)
            book.feed(event)
    while not book.over:
        assert book.timer is not None, "it waits, and knows until when"
        book.now = book.timer
        book.fire_timer()
    assert book.now <= 2 * _PLAN.deadline_seconds + 5 * len(steps)
    machine = book.machine
    there = {c for c, given_ in book.models.items() if given_}
    owners = {"final", *there}
    assert set(machine.owners) == owners
    assert book.settled == {(c, o) for c in machine.participants for o in owners}


class _Book:
    """What whoever feeds the machine has on record."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timer: float | None = None
        self.over = False
        self.models: dict[str, bool] = {}
        self.settled: set[tuple[str, str]] = set()
        self.restart()

    def restart(self) -> None:
        if self.over:
            return
        self.timer = None
        self.machine = CrossSiteMachine(
            _PLAN,
            self.now,
            participants=("a", "b", "c"),
            server_models=("final",),
            models=self.models,
            settled=self.settled,
        )
        self.feed(Tick())

    def learn(self, event: Any) -> None:
        if isinstance(event, ModelGiven | ModelLacking) and self.machine.awaits_model(event.client):
            self.models[event.client] = isinstance(event, ModelGiven)

    def settle(self, client: str, owner: str) -> None:
        assert (client, owner) not in self.settled, "settled once"
        self.settled.add((client, owner))

    def fire_timer(self) -> None:
        if self.timer is not None and self.timer <= self.now:
            self.timer = None
            self.feed(Tick())

    def feed(self, event: Any) -> None:
        for action in self.machine.handle(event, self.now):
            assert not self.over
            match action:
                case ModelLacking(client):
                    assert client not in self.models
                    self.models[client] = False
                case CellEmpty(client, owner):
                    self.settle(client, owner)
                case ValidationOver():
                    self.over = True
                case _:
                    assert action.at > self.now
                    self.timer = action.at
