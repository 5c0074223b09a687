# SPDX-License-Identifier: Apache-2.0
"""Requests to clients: whoever answers is heard, whoever does not is named with the reason.

Server, clients and administrator speak over real TLS; clients have no program behind them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.admin.clients.hub import MAX_REPLY_BYTES
from mmar_runner.errors import RefusedError
from mmar_runner.testing.kits import Kits, make_kits
from mmar_runner.testing.offices import Office, office, ordered
from mmar_runner.testing.standing_stub import StandingStub
from mmar_runner.wire.messages import AdminReply, RetrieveRequest

LEAD = "lead@example.org"
SITES = ("site-1", "site-2", "site-3")


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Kits:
    return make_kits(tmp_path_factory.mktemp("hub"), clients=SITES)


@pytest.fixture
async def standing(kits: Kits, tmp_path: Path) -> AsyncIterator[Office]:
    async with office(kits.server, tmp_path / "ws") as found:
        yield found


@pytest.fixture
async def lead(kits: Kits, standing: Office) -> AsyncIterator[Any]:
    async with standing.session(kits.admin(LEAD)) as session:
        yield session


def all_kits(kits: Kits) -> list[Path]:
    return [kits.client(site) for site in SITES]


async def test_every_client_is_asked_once_and_answers(kits, standing, lead) -> None:
    def answering(stub: StandingStub, _: Any) -> dict[str, str]:
        return {"message": f"I am {stub.name}"}

    async with standing.clients(*all_kits(kits), answering=answering) as stubs:
        answered = await ordered(lead, "check_status client")
        assert answered.status == "done"
        assert {name: said["message"] for name, said in answered.value["clients"].items()} == {
            site: f"I am {site}" for site in SITES
        }
        assert [len(stub.requests) for stub in stubs] == [1, 1, 1]
        assert [stub.replied for stub in stubs] == [[True]] * 3


async def test_only_those_that_are_meant_are_asked(kits, standing, lead) -> None:
    async with standing.clients(*all_kits(kits)) as stubs:
        answered = await ordered(lead, "check_status client site-2")
        assert set(answered.value["clients"]) == {"site-2"}
        assert [len(stub.requests) for stub in stubs] == [0, 1, 0]


async def test_an_order_comes_as_it_was_signed_and_every_request_has_an_id(
    kits, standing, lead
) -> None:
    async with standing.clients(*all_kits(kits)) as stubs:
        await ordered(lead, "check_status client")
        await ordered(lead, "check_status client")
        orders = [[request.order for request in stub.requests] for stub in stubs]
        assert orders[0] == orders[1] == orders[2]
        assert orders[0][0] != orders[0][1]
        ids = [request.request_id for stub in stubs for request in stub.requests]
        assert len(set(ids)) == len(ids)


async def test_who_is_not_there_is_told_beside_the_answers_of_the_others(
    kits, standing, lead
) -> None:
    async with standing.clients(kits.client("site-1")):
        answered = await ordered(lead, "check_status client site-1 site-2")
    assert answered.status == "partial"
    assert set(answered.value["clients"]) == {"site-1"}
    assert answered.missing == {"site-2": "NOT_CONNECTED"}


async def test_who_does_not_answer_in_time_holds_up_nobody_for_longer(kits, standing, lead) -> None:
    await ordered(lead, "set_timeout 0.3")
    quick = kits.client("site-1")
    async with (
        standing.clients(quick),
        standing.clients(kits.client("site-2"), answering=lambda *_: None) as (silent,),
    ):
        began = time.perf_counter()
        answered = await ordered(lead, "check_status client")
        assert 0.3 <= time.perf_counter() - began < 5
        assert answered.missing == {"site-2": "NO_ANSWER"}
        assert set(answered.value["clients"]) == {"site-1"}
        # What comes too late is not waited for, and harms nobody.
        assert not await silent.reply(silent.requests[0].request_id, {"message": "late"})


async def test_who_leaves_before_it_answers_is_told_at_once(kits, standing, lead) -> None:
    async with standing.clients(kits.client("site-1")):
        async with standing.clients(kits.client("site-2"), answering=lambda *_: None) as (going,):
            asking = asyncio.create_task(ordered(lead, "check_status client"))
            await going.asked()
        answered = await asking
    assert answered.missing == {"site-2": "LEFT"}
    assert set(answered.value["clients"]) == {"site-1"}


async def test_who_refuses_is_told_with_its_own_reason(kits, standing, lead) -> None:
    def refusing(*_: Any) -> AdminReply:
        return AdminReply(reason="SHELL_REFUSED", message="no \x1b[2J way\n", hint="ask us")

    async with standing.clients(kits.client("site-1"), answering=refusing):
        answered = await ordered(lead, "check_status client")
    (missing,) = [event for event in answered.events if event["kind"] == "missing"]
    assert missing["reason"] == "SHELL_REFUSED"
    assert missing["message"] == "no  [2J way "
    assert missing["hint"] == "ask us"


def nested(depth: int) -> bytes:
    return b'{"message": ' + b"[" * depth + b"]" * depth + b"}"


HOSTILE = {
    "nothing": b"",
    "no_json": b"\x00\xff",
    "no_object": b"[1]",
    "a_number_that_is_none": b'{"message": NaN}',
    "a_number_larger_than_any": b'{"message": 1e999}',
    "half_a_letter": b'{"message": "\\ud800"}',
    "a_key_twice": b'{"message": 1, "message": 2}',
    "nested_for_ever": nested(100_000),
    "too_long": b'{"message": "' + b"x" * MAX_REPLY_BYTES + b'"}',
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_an_answer_that_is_none_is_the_fault_of_whoever_gave_it(
    kits, standing, lead, case: str
) -> None:
    def lying(*_: Any) -> AdminReply:
        return AdminReply(reply=HOSTILE[case])

    async with (
        standing.clients(kits.client("site-1")),
        standing.clients(kits.client("site-2"), answering=lying),
    ):
        answered = await ordered(lead, "check_status client")
    assert set(answered.value["clients"]) == {"site-1"}
    assert answered.missing == {"site-2": "PROTOCOL"}


@pytest.mark.parametrize("depth", [20, 50, 300, 900, *range(970, 990), 1000])
async def test_however_deep_an_answer_is_the_others_are_heard(
    kits, standing, lead, depth: int
) -> None:
    """Reading, writing and reading again may each give up at another depth."""

    def lying(*_: Any) -> AdminReply:
        return AdminReply(reply=nested(depth))

    async with (
        standing.clients(kits.client("site-1")),
        standing.clients(kits.client("site-2"), answering=lying),
    ):
        answered = await ordered(lead, "check_status client")
    assert "site-1" in answered.value["clients"]


async def test_very_long_answers_of_all_still_fit_into_the_one_that_goes_on(
    kits, standing, lead
) -> None:
    """Each may say so much that it would not reach the console together with the others'."""

    def talkative(*_: Any) -> dict[str, str]:
        return {"message": "x" * (MAX_REPLY_BYTES - 100)}

    names = [(site, number) for site in SITES for number in range(1, 5)]
    async with asyncio.timeout(60):
        stubs = [
            StandingStub(
                kits.client(site), standing.listen, name=f"{site}_{number}", answering=talkative
            )
            for site, number in names
        ]
        for stub in stubs:
            await stub.__aenter__()
        try:
            answered = await ordered(lead, "check_status client")
        finally:
            for stub in stubs:
                await stub.__aexit__()
    assert len(answered.value["clients"]) + len(answered.missing) == len(names)


async def test_a_client_answers_only_what_it_was_asked(kits, standing, lead) -> None:
    """Not what was asked of another, though it may learn the other's id."""
    waits = {"answering": lambda *_: None}
    async with (
        standing.clients(kits.client("site-1"), **waits) as (honest,),
        standing.clients(kits.client("site-2")) as (evil,),
    ):
        asking = asyncio.create_task(ordered(lead, "check_status client site-1"))
        request = await honest.asked()
        assert not await evil.reply(request.request_id, {"message": "I am site-1"})
        forged = AdminReply(client_name="site-1", reply=b'{"message": "I am site-1"}')
        with pytest.raises(RefusedError) as refused:
            await evil.reply(request.request_id, forged)
        assert refused.value.reason == "NAME_MISMATCH"
        assert await honest.reply(request.request_id, {"message": "it is me"})
        assert not await honest.reply(request.request_id, {"message": "once more"})
        assert (await asking).value["clients"]["site-1"]["message"] == "it is me"


async def test_another_process_of_the_same_name_is_turned_away(kits, standing) -> None:
    kit = kits.client("site-1")
    async with standing.clients(kit) as (first,):
        with pytest.raises(RefusedError) as refused:
            async with StandingStub(kit, standing.listen):
                pytest.fail("it was let in")
        assert refused.value.reason == "NAME_TAKEN"
        assert "--instance" in (refused.value.hint or "")
        assert first.ended is None
        async with StandingStub(kit, standing.listen, name="site-1_2"):
            pass


async def test_the_same_process_over_a_newer_call_takes_over(kits, standing, lead) -> None:
    kit = kits.client("site-1")
    async with standing.clients(kit) as (old,):
        async with StandingStub(kit, standing.listen, key=old.key) as new:
            assert await old.let_go() == "the call is over"
            answered = await ordered(lead, "check_status client")
            assert set(answered.value["clients"]) == {"site-1"}
            assert len(new.requests) == 1
        assert (await ordered(lead, "check_status server")).value["server"]["clients"] == []


@pytest.mark.parametrize("name", ["site-2", "site-1 ", "SITE-1", "../site-1", "", "x" * 10_000])
async def test_a_client_waits_under_its_own_name_only(kits, standing, name: str) -> None:
    stub = StandingStub(kits.client("site-1"), standing.listen)
    stub.name = name
    with pytest.raises(RefusedError) as refused:
        async with stub:
            pytest.fail("it was let in")
    assert refused.value.reason == "NAME_MISMATCH"


async def test_a_key_that_can_be_guessed_is_refused(kits, standing) -> None:
    async with standing.clients(kits.client("site-2")) as (stub,):
        short = RetrieveRequest(client_name="site-2_2", session_key=b"short")
        with pytest.raises(RefusedError) as refused:
            await anext(stub.stub.retrieve(short))
        assert refused.value.reason == "PROTOCOL"


async def test_so_many_requests_wait_for_one_client_and_no_more(
    kits, standing, lead, monkeypatch
) -> None:
    monkeypatch.setattr("mmar_runner.admin.clients.hub._WAITING", 0)
    async with standing.clients(kits.client("site-1")):
        answered = await ordered(lead, "check_status client")
    assert answered.missing == {"site-1": "BUSY"}


async def test_whoever_asks_and_leaves_leaves_nothing_behind(kits, standing, lead) -> None:
    async with standing.clients(kits.client("site-1"), answering=lambda *_: None) as (silent,):
        asking = asyncio.create_task(ordered(lead, "check_status client"))
        request = await silent.asked()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with asyncio.timeout(20):
            while await silent.reply(request.request_id, {"message": "too late"}):
                request = await silent.asked(len(silent.requests))
        assert (await ordered(lead, "check_status server")).status == "done"


async def test_whoever_comes_has_a_line_and_a_name_without_tricks(kits, standing) -> None:
    async with standing.clients(kits.client("site-1")):
        (line,) = await standing.audited(action="Retrieve")
        assert (line["who"], line["data"]) == ("client site-1", {"client": "site-1"})


async def test_clients_are_listed_with_what_is_known_of_them(kits, standing, lead) -> None:
    async with standing.clients(*all_kits(kits)):
        known = (await ordered(lead, "check_status server")).value["server"]["clients"]
        assert [one["name"] for one in known] == sorted(SITES)
        assert json.dumps(known).isprintable()
    assert (await ordered(lead, "check_status server")).value["server"]["clients"] == []
