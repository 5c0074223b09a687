# SPDX-License-Identifier: Apache-2.0
"""Payloads are held until their phase is complete; what was answered once is answered so again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from mmar_runner.errors import DiskFullError, RefusedError
from mmar_runner.federation.run_status import RunStatus
from mmar_runner.interfaces.exchange import ExchangeHandler
from mmar_runner.server.records.model_file import ModelFile
from mmar_runner.server.rounds.assignments import Assignments
from mmar_runner.server.rounds.exchange_desk import ExchangeDesk
from mmar_runner.server.rounds.open_round import OpenRound
from mmar_runner.server.rounds.round_aggregation import Withdrawn
from mmar_runner.testing.contracts.combining import context

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = ("a", "b", "c")


class Echoes(ExchangeHandler):
    """Answers each client with all payloads of the phase, in the order of names."""

    topic: ClassVar[str] = "echoes"
    before: ClassVar[tuple[str, ...]] = ("one", "two")
    at_close: ClassVar[str] = "who"
    after: ClassVar[tuple[str, ...]] = ("last",)
    patience: float | None = None

    def __init__(self) -> None:
        self.answered: list[str] = []

    def open(self, context: Any) -> None:
        self.answered = []

    def least(self, phase: str) -> int:
        return 2

    def seconds(self, phase: str) -> float | None:
        return self.patience

    def check(self, phase: str, client: str, payload: bytes) -> None:
        if payload == b"bad":
            raise ValueError("nobody says that")

    def answer(self, phase: str, payloads: Mapping[str, bytes]) -> dict[str, bytes]:
        self.answered.append(phase)
        said = b",".join(f"{name}=".encode() + payloads[name] for name in sorted(payloads))
        return dict.fromkeys(payloads, said)


class Table:
    """A desk, its open round, and who is there."""

    def __init__(self, folder: Path, handler: ExchangeHandler | None = None) -> None:
        self.handler = Echoes() if handler is None else handler
        self.assignments = Assignments()
        self.there = set(NAMES)
        self.wait = 60.0
        self.path = folder / "exchange.json"
        self.open(0)
        self.desk = self.another()

    def another(self) -> ExchangeDesk:
        """The desk of a server that was started again."""
        return ExchangeDesk(
            self.handler,
            self.path,
            self.assignments,
            context=context,
            minimum=lambda: 2,
            present=lambda: self.there,
            wait=self.wait,
        )

    def open(self, number: int) -> OpenRound:
        model = ModelFile(Path("m"), "sha", 1, None)
        self.round = OpenRound(number, model, 0.0, invited=dict.fromkeys(NAMES, 1))
        self.assignments.open(self.round)
        return self.round

    def leave(self, name: str) -> None:
        self.there.discard(name)
        self.round.invited.pop(name, None)
        self.desk.look()

    def accept(self, *names: str) -> None:
        accepted: Any = dict.fromkeys(names)
        self.round.accepted = accepted
        for name in names:
            self.round.invited.pop(name, None)

    def post(self, name: str, phase: str, payload: bytes = b"") -> asyncio.Task[bytes]:
        number = self.round.number
        return asyncio.ensure_future(self.desk.post(name, number, "echoes", phase, payload))

    async def all_post(self, phase: str, names: tuple[str, ...] = NAMES) -> list[bytes]:
        return await asyncio.gather(*(self.post(n, phase, n.encode()) for n in names))

    async def until_updates(self) -> None:
        await self.all_post("one")
        await self.all_post("two")


@pytest.fixture
async def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


async def refused(work: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        await work
    return caught.value


async def test_all_are_answered_once_all_have_handed_in(table: Table) -> None:
    first, second = table.post("a", "one", b"1"), table.post("b", "one", b"2")
    await asyncio.sleep(0)
    assert not first.done()
    answers = await asyncio.gather(first, second, table.post("c", "one", b"3"))
    assert answers == [b"a=1,b=2,c=3"] * 3


async def test_nobody_waits_for_whoever_has_left_or_failed(table: Table) -> None:
    posts = [table.post("a", "one", b"1"), table.post("b", "one", b"2")]
    await asyncio.sleep(0)
    table.leave("c")
    assert await asyncio.gather(*posts) == [b"a=1,b=2"] * 2


async def test_no_exchange_begins_with_fewer_than_a_round_needs(table: Table) -> None:
    table.leave("b")
    alone = table.post("a", "one")
    table.leave("c")
    _, waiting = await asyncio.wait({alone}, timeout=0.05)
    assert waiting
    table.round.invited["b"] = 1
    assert await table.post("b", "one") == await alone == b"a=,b="


async def test_the_same_payload_is_answered_again_and_another_one_is_not(table: Table) -> None:
    await table.all_post("one")
    assert await table.post("a", "one", b"a") == b"a=a,b=b,c=c"
    assert (await refused(table.post("a", "one", b"other"))).reason == "EXCHANGE_OVER"


async def test_a_payload_that_comes_again_before_the_phase_is_over_replaces_the_first(
    table: Table,
) -> None:
    given_up = table.post("a", "one", b"old")
    await asyncio.sleep(0)
    given_up.cancel()  # its session was killed, and is back
    posts = [table.post("a", "one", b"new"), table.post("b", "one"), table.post("c", "one")]
    assert await asyncio.gather(*posts) == [b"a=new,b=,c="] * 3


async def test_who_is_late_is_gone_on_without(table: Table) -> None:
    table.handler.patience = 0.01  # type: ignore[attr-defined] - of the one above
    assert await table.all_post("one", ("a", "b")) == [b"a=a,b=b"] * 2
    assert (await refused(table.post("c", "one", b"c"))).reason == "EXCHANGE_OVER"
    assert (await refused(table.post("c", "two", b"c"))).reason == "EXCHANGE_OVER"


async def test_whoever_is_there_and_hands_in_nothing_holds_up_no_round(table: Table) -> None:
    """A round waits so long for stragglers once it has enough, and so does its exchange."""
    table.wait = 0.01
    table.desk = table.another()
    assert await table.all_post("one", ("a", "b")) == [b"a=a,b=b"] * 2


async def test_a_phase_in_which_nobody_hands_in_anything_ends(table: Table) -> None:
    table.handler.patience = 0.01  # type: ignore[attr-defined] - of the one above
    await table.all_post("one")
    async with asyncio.timeout(5):
        await table.desk._news.wait()
    assert not table.path.exists()
    assert await table.all_post("one") == [b"a=a,b=b,c=c"] * 3


async def test_members_that_were_started_anew_begin_another_exchange(table: Table) -> None:
    """All of them at once, after their keys were there: nobody will ever end that phase."""
    await table.all_post("one")
    for name in ("a", "b"):
        assert (await refused(table.post(name, "one", b"new"))).reason == "EXCHANGE_OVER"
    await table.desk.close()
    assert not table.path.exists()
    assert await table.all_post("one") == [b"a=a,b=b,c=c"] * 3


async def test_nobody_waits_for_a_member_that_was_started_anew(table: Table) -> None:
    await table.all_post("one")
    posts = [table.post(name, "two", name.encode()) for name in ("a", "b")]
    assert (await refused(table.post("c", "one", b"new"))).reason == "EXCHANGE_OVER"
    assert await asyncio.gather(*posts) == [b"a=a,b=b"] * 2


async def test_too_few_begin_anew(table: Table) -> None:
    await table.all_post("one")
    alone = table.post("a", "two")
    await asyncio.sleep(0)
    table.leave("b")
    table.leave("c")
    error = await refused(alone)
    assert error.reason == "EXCHANGE_TOO_FEW"
    assert "1 clients answered in the phase two, and 2 are needed" in error.message
    assert not table.path.exists()
    table.round.invited = dict.fromkeys(NAMES, 2)  # their tasks are given again
    assert await table.all_post("one") == [b"a=a,b=b,c=c"] * 3


@pytest.mark.parametrize(
    ("post", "reason"),
    [
        (("a", 0, "other", "one", b""), "TOPIC_UNKNOWN"),
        (("a", 1, "echoes", "one", b""), "ROUND_MISMATCH"),
        (("x", 0, "echoes", "one", b""), "NOT_A_PARTICIPANT"),
        (("a", 0, "echoes", "two", b""), "EXCHANGE_PHASE"),
        (("a", 0, "echoes", "never", b""), "EXCHANGE_PHASE"),
        (("a", 0, "echoes", "last", b""), "EXCHANGE_PHASE"),
        (("a", 0, "echoes", "one", b"bad"), "EXCHANGE_PAYLOAD"),
    ],
)
async def test_what_is_out_of_turn_is_refused(table: Table, post: Any, reason: str) -> None:
    assert (await refused(table.desk.post(*post))).reason == reason


async def test_an_update_comes_after_the_phases_and_of_members_only(table: Table) -> None:
    early = await refused(table.desk.require_member("a", table.round))
    assert early.reason == "EXCHANGE_PHASE"
    table.leave("c")
    await table.all_post("one", ("a", "b"))
    await table.all_post("two", ("a", "b"))
    await table.desk.require_member("a", table.round)
    assert (await refused(table.desk.require_member("c", table.round))).reason == "EXCHANGE_OVER"


async def test_what_follows_on_the_updates(table: Table) -> None:
    await table.until_updates()
    asks = [table.post(name, "who") for name in NAMES]
    await asyncio.sleep(0)
    table.accept("a", "b")
    settling = asyncio.create_task(table.desk.settle(table.round))
    assert await asyncio.gather(*asks[:2]) == [b"a=,b="] * 2
    assert (await refused(asks[2])).reason == "EXCHANGE_OVER"
    await table.all_post("last", ("a", "b"))
    assert await settling is None
    assert [table.desk.counts(name) for name in NAMES] == [True, True, False]
    await table.desk.forget(0)
    assert not table.path.exists()


async def test_updates_that_nobody_helps_to_use_are_withdrawn(table: Table) -> None:
    table.handler.patience = 0.01  # type: ignore[attr-defined] - of the one above
    await table.until_updates()
    table.accept(*NAMES)
    withdrawn = await table.desk.settle(table.round)
    assert isinstance(withdrawn, Withdrawn)
    assert withdrawn.reason == "EXCHANGE_TOO_FEW"
    assert set(withdrawn.messages) == set(NAMES)


async def test_a_server_that_is_started_again_answers_as_before(table: Table) -> None:
    await table.until_updates()
    table.desk = table.another()
    assert await table.post("a", "one", b"a") == b"a=a,b=b,c=c"
    assert await table.post("b", "two", b"b") == b"a=a,b=b,c=c"
    table.accept("a", "b", "c")
    settling = asyncio.create_task(table.desk.settle(table.round))
    assert await table.post("c", "who") == b"a=,b=,c="
    settling.cancel()
    # It was killed once whose updates count was known: an update that comes late does not.
    table.accept("a", "b")
    table.desk = table.another()
    table.accept("a", "b", "c")
    settling = asyncio.create_task(table.desk.settle(table.round))
    await table.all_post("last")
    assert await settling is None


async def test_an_exchange_of_updates_that_were_withdrawn_is_not_taken_up(table: Table) -> None:
    await table.until_updates()
    table.accept("a", "b", "c")
    settling = asyncio.create_task(table.desk.settle(table.round))
    await table.post("c", "who")
    settling.cancel()
    table.accept("a")
    table.desk = table.another()
    table.round.invited = dict.fromkeys(NAMES, 2)
    assert await table.all_post("one") == [b"a=a,b=b,c=c"] * 3


async def test_updates_without_their_exchange_cost_a_round_and_not_the_run(table: Table) -> None:
    """A server that is killed once an exchange is given up, and before that is on record."""
    await table.until_updates()
    table.path.write_bytes(b"{")
    table.desk = table.another()
    table.accept(*NAMES)
    withdrawn = await table.desk.settle(table.round)
    assert isinstance(withdrawn, Withdrawn)
    assert withdrawn.reason == "EXCHANGE_LOST"
    table.accept()
    table.round.invited = dict.fromkeys(NAMES, 2)
    assert await table.all_post("one") == [b"a=a,b=b,c=c"] * 3


async def test_another_round_has_an_exchange_of_its_own(table: Table) -> None:
    await table.until_updates()
    held = table.post("a", "who")
    await asyncio.sleep(0)
    table.open(1)
    assert (await refused(held)).reason == "ROUND_MISMATCH"
    assert await table.all_post("one") == [b"a=a,b=b,c=c"] * 3


async def test_nobody_is_held_when_the_run_ends(table: Table) -> None:
    held = table.post("a", "one")
    await asyncio.sleep(0)
    table.assignments.announce(RunStatus.FAILED, "no data")
    assert (await refused(held)).reason == "RUN_OVER"


async def test_a_full_disk_begins_it_anew(table: Table, monkeypatch: Any) -> None:
    def full(*_: object) -> None:
        raise DiskFullError("the disk is full")

    where = "mmar_runner.server.records.exchange_file.ExchangeFile.write"
    with monkeypatch.context() as patched:
        patched.setattr(where, full)
        refusals = await asyncio.gather(
            *(table.post(n, "one") for n in NAMES), return_exceptions=True
        )
    assert {getattr(error, "reason", None) for error in refusals} == {"DISK_FULL"}
    assert await table.all_post("one") == [b"a=a,b=b,c=c"] * 3


async def test_a_handler_that_raises_lets_nobody_wait(table: Table) -> None:
    table.handler.answer = lambda *_: 1 / 0  # type: ignore[method-assign] - a bug in a plugin
    errors = await asyncio.gather(*(table.post(n, "one") for n in NAMES), return_exceptions=True)
    assert {getattr(error, "reason", None) for error in errors} == {"AGGREGATOR"}
    await table.desk.close()


async def test_a_run_without_a_protocol_exchanges_nothing(tmp_path: Path) -> None:
    table = Table(tmp_path)
    table.handler = None  # type: ignore[assignment] - as most runs have it
    desk = table.another()
    assert (await refused(desk.post("a", 0, "echoes", "one", b""))).reason == "TOPIC_UNKNOWN"
    await desk.require_member("x", table.round)
    assert await desk.settle(table.round) is None
    assert desk.counts("x")
    desk.look()
