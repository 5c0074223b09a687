# SPDX-License-Identifier: Apache-2.0
"""What is said of a wait: for whom or what, and since when."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from mmar_runner.errors import DiskFullError
from mmar_runner.federation.events import ClientJoined, ClientLeft, StopRequested, UpdateAccepted
from mmar_runner.federation.plan import RunPlan
from mmar_runner.federation.round_machine import RoundMachine
from mmar_runner.federation.scatter_and_gather import ScatterAndGather
from mmar_runner.federation.sites import Sites
from mmar_runner.server.members.registry import Client, ClientRegistry
from mmar_runner.server.status.board import Board
from mmar_runner.server.telling.space import DiskWait

NOON = 1795867200.5
TIME = "2026-11-28T12:00:00Z"


class Scene:
    """A machine and a registry behind the faces that a board looks at."""

    def __init__(self, *sites: str) -> None:
        plan = RunPlan(start_round=0, num_rounds=9, min_num_clients=2, max_num_clients=9)
        self.machine = RoundMachine(plan, ScatterAndGather())
        self.registry = ClientRegistry(max_clients=9, lease_seconds=30)
        self.round: Any = None
        self.declined = ""
        self.said: dict[str, Any] = {}
        self.now = asyncio.get_running_loop().time()
        self.handlers = SimpleNamespace(doing="")
        self.disk = DiskWait(lambda _: None, clock=lambda: NOON)
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.coordinator: Any = SimpleNamespace(ended=ended)
        members: Any = SimpleNamespace(
            known=self.registry.known,
            present=self.registry.present,
            departed=self.registry.departed,
        )
        components: Any = (self.handlers,)
        self.board = Board(
            self.coordinator,
            members,
            self.disk,
            components,
            sites=Sites(frozenset(sites), frozenset(sites)),
            run_number=3,
            num_rounds=9,
            declined=lambda: self.declined,
            aggregation=lambda: self.said,
            clock=lambda: NOON + asyncio.get_running_loop().time() - self.now,
        )

    def joined(self, name: str) -> None:
        self.registry.register(name, bytes(32), now=self.now, mmar_digest="")
        self.machine.handle(ClientJoined(name), self.now)

    def left(self, name: str) -> None:
        self.registry.remove(name, now=self.now)
        self.machine.handle(ClientLeft(name, "gone"), self.now)

    def facts(self) -> dict[str, Any]:
        machine, coordinator = self.machine, self.coordinator
        coordinator.phase, coordinator.next_round = machine.phase, machine.round
        coordinator.missing, coordinator.waiting_for = machine.missing, machine.waiting_for
        coordinator.round = self.round
        coordinator.min_clients = machine.minimum
        return self.board.facts()

    def open(self, *invited: str, accepted: tuple[str, ...] = ()) -> None:
        for name in accepted:
            self.machine.handle(UpdateAccepted(name, 0), self.now)
        self.round = SimpleNamespace(
            number=0, closing=False, invited=dict.fromkeys(invited, 1), accepted=accepted
        )


async def test_sites_that_have_not_come_and_clients_that_have_left_are_named() -> None:
    scene = Scene("north", "south")
    scene.joined("north")
    scene.joined("west")
    scene.machine = RoundMachine(
        RunPlan(start_round=0, num_rounds=9, min_num_clients=3, max_num_clients=9),
        ScatterAndGather(),
        active=["north"],
    )
    scene.left("west")
    facts = scene.facts()
    assert facts["waiting_for"] == (
        f"round 0: 1 of 3 clients are there; missing south since {TIME}, west since {TIME}"
    )
    assert facts["missing"] == [{"name": n, "since": TIME} for n in ("south", "west")]
    assert [(c["name"], c["state"]) for c in facts["clients"]] == [
        ("north", "idle"),
        ("west", "left"),
    ]
    assert (facts["run_number"], facts["num_rounds"], facts["status"]) == (3, 9, "running")


async def test_who_declined_is_part_of_what_is_waited_for() -> None:
    scene = Scene("north", "south")
    scene.joined("north")
    scene.declined = "declined by south [DIGEST_BLOCKED]"
    there = "round 0: 1 of 2 clients are there"
    missing = f"missing south since {TIME}"
    assert scene.facts()["waiting_for"] == f"{there}; {scene.declined}; {missing}"
    scene.declined = ""
    assert scene.facts()["waiting_for"] == f"{there}; {missing}"


async def test_a_site_whose_name_looks_like_an_instance_hides_no_other() -> None:
    scene = Scene("ward", "ward_2", "west")
    scene.joined("ward_2")
    assert [one["name"] for one in scene.facts()["missing"]] == ["ward", "west"]
    scene.joined("ward_7")  # an instance of ward
    scene.machine = RoundMachine(
        RunPlan(start_round=0, num_rounds=9, min_num_clients=3, max_num_clients=9),
        ScatterAndGather(),
        active=["ward_2", "ward_7"],
    )
    assert [one["name"] for one in scene.facts()["missing"]] == ["west"]


async def test_an_open_round_says_what_each_of_those_who_are_missing_is_at() -> None:
    scene = Scene()
    for name in ("a", "b", "c"):
        scene.joined(name)
    scene.open("b", "c", accepted=("a",))
    known = scene.registry.known("b")
    assert known is not None
    known.progress = {"done": 5, "total": 9, "unit": "steps"}
    scene.registry.give("b", (0, 1))
    scene.left("c")
    facts = scene.facts()
    assert facts["waiting_for"] == (
        f"round 0: 1 of 2 updates; missing b, training since {TIME}; c, not there since {TIME}"
    )
    states = {client["name"]: client for client in facts["clients"]}
    assert {name: c["state"] for name, c in states.items()} == {
        "a": "done",
        "b": "training",
        "c": "left",
    }
    assert states["b"]["progress"] == {"done": 5, "total": 9, "unit": "steps"}
    assert states["a"]["last_heard"] == TIME


async def test_a_full_disk_comes_first_and_the_end_says_whose_return_it_waits_for() -> None:
    scene = Scene()
    scene.disk.note("journal", DiskFullError("journal.db: full"))
    facts = scene.facts()
    assert facts["waiting_for"].startswith(f"DISK_FULL: journal.db: full, since {TIME}; free")
    assert facts["since"] == TIME
    scene.disk.note("journal", None)
    assert scene.facts()["waiting_for"] == "round 0: 0 of 2 clients are there"
    scene.machine.handle(StopRequested("enough"), scene.now)
    assert scene.facts()["waiting_for"] == "the run's files to be settled"
    scene.handlers.doing = "the handler Notes at END_RUN"
    assert scene.facts()["waiting_for"] == "the handler Notes at END_RUN to return"


async def test_who_is_asked_and_has_fetched_nothing_is_not_said_to_be_training() -> None:
    scene = Scene()
    for name in ("a", "b", "c"):
        scene.joined(name)
    scene.open("a", "b", "c")
    scene.registry.give("a", (0, 1))
    known = scene.registry.known("b")
    assert known is not None
    known.works_on = 0
    states = {client["name"]: client for client in scene.facts()["clients"]}
    assert {name: c["state"] for name, c in states.items()} == {
        "a": "training",
        "b": "training",
        "c": "asked",
    }
    scene.round.invited["a"] = 2
    assert scene.facts()["clients"][0]["state"] == "asked", "another attempt"


async def test_of_whom_nothing_was_heard_since_a_restart_is_expected() -> None:
    scene = Scene()
    scene.registry.restore([Client("a", "", scene.now + 30), Client("b", "", scene.now + 30)])
    for name in ("a", "b"):
        scene.machine.handle(ClientJoined(name), scene.now)
    facts = scene.facts()
    assert [(c["state"], c["round"]) for c in facts["clients"]] == [("expected", None)] * 2
    scene.open("a", "b")
    facts = scene.facts()
    assert [(c["state"], c["round"]) for c in facts["clients"]] == [("expected", 0)] * 2
    assert facts["waiting_for"] == (
        f"round 0: 0 of 2 updates; missing a, not heard of since the server's start at {TIME}; "
        f"b, not heard of since the server's start at {TIME}"
    )
    scene.registry.renew("a", now=scene.now)
    assert scene.facts()["clients"][0]["state"] == "asked"


async def test_nobody_is_at_something_since_later_than_it_was_last_heard_of() -> None:
    """What is looked at a second later seemed to have begun then."""
    scene = Scene()
    scene.joined("a")
    scene.open("a")
    assert scene.facts()["clients"][0]["state"] == "asked"
    heard = asyncio.get_running_loop().time() + 0.3
    scene.registry.give("a", (0, 1))
    scene.registry.renew("a", now=heard)
    (client,) = scene.facts()["clients"]
    assert (client["state"], client["since"]) == ("training", client["last_heard"])


async def test_what_the_aggregator_said_last_is_shown_and_nothing_if_it_says_nothing() -> None:
    scene = Scene()
    assert "aggregation" not in scene.facts()
    scene.said = {"dp_epsilon": 2.5}
    assert scene.facts()["aggregation"] == {"dp_epsilon": 2.5}
