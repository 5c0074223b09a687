# SPDX-License-Identifier: Apache-2.0
"""A controller assigns, records, and tells combiners what changed; rounds are lists of calls."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.errors import NotAuthorizedError, RefusedError
from mmar_runner.federation.assignment import AssignedSites, AssignmentTable
from mmar_runner.federation.client_status import ClientStatus
from mmar_runner.interfaces.observer import Topic
from mmar_runner.server.gate.names import BelievedNames
from mmar_runner.server.members.controller import Controller
from mmar_runner.server.members.registry import Client, SiteBelow
from mmar_runner.server.members.tree import Tree as MembersTree
from mmar_runner.testing.recorder import Recorder
from mmar_runner.wire.gate import Peer
from mmar_runner.wire.messages import AssignRequest, AssignStatus

PEER = Peer("127.0.0.1:1")


class Tree:
    """A controller with two combiners, and lists of what it had others do."""

    def __init__(self, wanted: int, *present: str, places: dict[str, str] | None = None) -> None:
        self.table = AssignmentTable(lambda: wanted, {}, {"east", "west"}, dict(places or {}))
        self.recorded: list[tuple[str, dict[str, str]]] = []
        self.joined: list[str] = []
        self.asked: list[str] = []
        self.aside: list[str] = []
        self.present = list(present)
        self.seen = Recorder()
        self.names: Any = BelievedNames()
        members: Any = SimpleNamespace(
            present=lambda: self.present,
            instances=lambda _: [],
            known=lambda name: self.combiners[name],
            max_clients=3,
            lease_seconds=30.0,
            tree=MembersTree(),
        )
        self.combiners = {
            name: Client(name, "", 0.0, combines=True, serves_at=f"{name}.example:8002")
            for name in ("east", "west")
        }
        rounds: Any = SimpleNamespace(
            client_joined=self.joined.append,
            ask_anew=self.asked.append,
            look=lambda: None,
            failed=lambda: self.failed,
            stand_aside=self.aside.append,
            next_round=0,
        )
        self.rounds = rounds
        self.failed = frozenset[str]()
        record: Any = SimpleNamespace(append=self._append)
        self.controller = Controller(
            *(self.table, record, members, rounds, self.seen),
            names=self.names,
            sites=AssignedSites(table=self.table),
        )

    def _append(self, kind: str, data: dict[str, str]) -> Future[int]:
        self.recorded.append((str(kind), data))
        done: Future[int] = Future()
        done.set_result(1)
        return done

    async def ask(self, name: str, preferred: str = "") -> tuple[int, str, str]:
        request = AssignRequest(client_name=name, preferred_combiner=preferred)
        reply = await self.controller.assign(request, PEER)
        return reply.status, reply.combiner, reply.target


ASSIGNED = AssignStatus.ASSIGN_STATUS_ASSIGNED


async def test_an_assignment_is_on_record_told_and_the_same_when_it_is_asked_again() -> None:
    tree = Tree(1, "east", "west")
    assert await tree.ask("site-1") == (ASSIGNED, "east", "east.example:8002")
    assert await tree.ask("site-1", "west") == (ASSIGNED, "east", "east.example:8002")
    facts = {"client": "site-1", "combiner": "east", "before": ""}
    assert tree.recorded == [("client_assigned", facts)]
    assert [one.data for one in tree.seen.all(Topic.ASSIGNED)] == [facts]
    assert tree.joined == ["east"], "with its first client a combiner has a part in rounds"


async def test_without_a_combiner_a_client_waits() -> None:
    status, *_ = await Tree(1).ask("site-1")
    assert status == AssignStatus.ASSIGN_STATUS_TRY_AGAIN


async def test_a_combiner_with_a_task_is_asked_for_another_sum_when_it_gets_a_client() -> None:
    tree = Tree(2, "east", places={"site-1": "east"})
    assert tree.controller.told("east") is not None
    await tree.ask("site-2")
    assert (tree.joined, tree.asked) == ([], ["east"])


async def test_others_hear_that_fewer_of_their_clients_are_needed() -> None:
    """East waits for both of its clients, of whom one is gone; then another comes to west."""
    tree = Tree(2, "east", "west", places={"site-1": "east", "site-2": "east"})
    told = tree.controller.told("east")
    assert told is not None
    assert told.needed == 2
    await tree.ask("site-3")
    assert (tree.joined, tree.asked) == (["west"], ["east"])
    again = tree.controller.told("east")
    assert again is not None
    assert again.needed == 1


async def test_who_counts_in_a_sum_already_does_not_make_another_one_necessary() -> None:
    tree = Tree(1, "east", places={"site-1": "east"})
    tree.table.counted = {"east": frozenset({"site-1"})}.get
    tree.controller.begin()
    assert tree.asked == []
    tree.table.combiner_of["site-2"] = "east"
    tree.controller.begin()
    assert tree.asked == ["east"]


async def test_a_full_federation_assigns_nobody_else() -> None:
    tree = Tree(1, "east", places={f"site-{number}": "east" for number in range(3)})
    with pytest.raises(RefusedError) as refused:
        await tree.ask("site-9")
    assert refused.value.reason == "TOO_MANY_CLIENTS"
    assert (await tree.ask("site-1"))[0] == ASSIGNED


async def test_a_site_that_may_not_run_the_mmar_is_told_so() -> None:
    tree = Tree(1, "east")

    def refuse(*_: Any) -> None:
        raise NotAuthorizedError("the project allows no code", reason="BYOC_NOT_ALLOWED")

    tree.names.check = refuse
    reply = await tree.controller.assign(AssignRequest(client_name="site-1"), PEER)
    assert reply.status == AssignStatus.ASSIGN_STATUS_UNAUTHORIZED
    assert "no code" in reply.message
    assert tree.recorded == []


async def test_a_combiner_that_loses_a_client_hears_of_it() -> None:
    """It was away for longer than its lease, and is back in the same round."""
    tree = Tree(2, "east", "west", places={"site-1": "west", "site-2": "west"})
    tree.controller.told("west")
    tree.controller.told("east")
    tree.present.remove("west")
    assert (await tree.ask("site-1"))[1] == "east"
    tree.present.append("west")
    assert "west" not in tree.asked
    tree.controller._returned("west")
    assert tree.asked.count("west") == 1


async def test_whoever_says_that_its_combiner_does_not_answer_is_moved_once_a_lease() -> None:
    tree = Tree(1, "east", "west")
    await tree.ask("site-1")
    avoiding = AssignRequest(client_name="site-1", avoid=["east"])
    assert (await tree.controller.assign(avoiding, PEER)).combiner == "east"
    tree.controller._moved["site-1"] -= 31
    assert (await tree.controller.assign(avoiding, PEER)).combiner == "west"
    avoiding.avoid[:] = ["west"]
    assert (await tree.controller.assign(avoiding, PEER)).combiner == "west"


async def test_a_combiner_that_has_failed_for_good_gets_nobody() -> None:
    tree = Tree(1, "east", "west", places={"site-1": "east"})
    tree.failed = frozenset({"east"})
    assert (await tree.ask("site-1"))[1] == "west"


async def test_a_sum_is_taken_back_if_another_combiner_has_lost_who_was_spared_for_it() -> None:
    """East sent without slow site-2, as three others were there; then site-4 is gone for good."""
    places = {"site-1": "east", "site-2": "east", "site-3": "west", "site-4": "west"}
    tree = Tree(3, "east", "west", places=places)
    tree.table.counted = {"east": frozenset({"site-1"})}.get
    told = tree.controller.told("west")
    assert told is not None
    assert told.needed == 2
    west = tree.combiners["west"]
    west.state, west.since = ClientStatus.TRAINING, -1e9
    west.below = (SiteBelow("site-3", ClientStatus.IDLE, -1),)
    tree.controller.look()
    assert tree.asked == ["east"]


async def test_names_of_further_instances_do_not_take_the_places_of_sites() -> None:
    known = frozenset({"site-1", "site-2", "site-3"})
    tree = Tree(1, "east")
    tree.controller._sites = AssignedSites(known, known, tree.table)
    await tree.ask("site-1")
    with pytest.raises(RefusedError) as refused:
        await tree.ask("site-1_1")
    assert refused.value.reason == "TOO_MANY_CLIENTS"
    assert (await tree.ask("site-2"))[0] == (await tree.ask("site-3"))[0] == ASSIGNED


async def test_a_sum_is_taken_back_for_a_newcomer_that_is_there_and_not_over_and_over() -> None:
    """The round can do without it; each sum is another transfer."""
    tree = Tree(1, "east", places={"site-1": "east"})
    tree.table.counted = {"east": frozenset({"site-1"})}.get
    await tree.ask("site-2")
    assert tree.asked == ["east"], "whom it is to let in it hears with its task"
    tree.combiners["east"].below = (SiteBelow("site-2", ClientStatus.IDLE, -1),)
    for _ in range(9):  # nothing comes of it
        tree.controller.look()
    assert tree.asked == ["east"] * 4
    tree.rounds.next_round = 1
    tree.controller.look()
    assert tree.asked == ["east"] * 5


async def test_a_combiner_whose_last_client_is_moved_is_waited_for_no_more() -> None:
    tree = Tree(1, "east", "west", places={"site-1": "east", "site-2": "west"})
    avoiding = AssignRequest(client_name="site-1", avoid=["east"])
    assert (await tree.controller.assign(avoiding, PEER)).combiner == "west"
    assert tree.aside == ["east"]


async def test_a_sum_without_clients_stays_a_part_of_its_round() -> None:
    tree = Tree(1, "east", "west", places={"site-1": "west"})
    tree.table.counted = {"east": frozenset({"site-2"})}.get
    tree.controller.look()
    assert tree.aside == []
