# SPDX-License-Identifier: Apache-2.0
"""A pace lets so much through and no more, each caller by itself, and fills with time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.security.identity import Identity, PeerCertificate, Role
from mmar_runner.server.calls.paced_stream import MESSAGES_AT_ONCE, PacedStream, message_paces
from mmar_runner.server.gate import pace
from mmar_runner.server.gate.pace import Paces
from mmar_runner.wire.codec import ReplyItem, UpdateItem
from mmar_runner.wire.gate import Peer
from mmar_runner.wire.limits import CHUNK_BYTES
from mmar_runner.wire.messages import TaskFailure, UpdateReceipt
from mmar_runner.wire.servicer import UpdateStream

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SITE = Identity("demo", Role.CLIENT, "site-1")
CERTIFIED = Peer("ipv4:127.0.0.1:1", PeerCertificate(SITE, "fp", "1", NOW, NOW))


def taken(paces: Paces, who: str, now: float, tries: int = 10) -> int:
    return sum(paces.take(who, now) for _ in range(tries))


def test_so_much_at_once_and_then_as_time_goes_by() -> None:
    paces = Paces(per_second=2.0, at_once=3.0)
    assert taken(paces, "a", 0.0) == 3
    assert taken(paces, "b", 0.0) == 3
    assert taken(paces, "a", 1.0) == 2
    assert taken(paces, "a", 100.0) == 3


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_MOST", 5)
    paces = Paces(1.0, 1.0)
    for number in range(50):
        paces.take(str(number), 0.0)
    assert len(paces._buckets) <= 6


class Said(UpdateStream):
    """A stream on which somebody says the same for ever."""

    def __init__(self, item: UpdateItem) -> None:
        self.item = item
        self.count = 0
        self.answers: list[ReplyItem] = []

    async def read(self) -> UpdateItem | None:
        self.count += 1
        return self.item

    async def write(self, item: ReplyItem) -> None:
        self.answers.append(item)


async def flood(stream: UpdateStream, count: int) -> None:
    for _ in range(count):
        assert await stream.read() is not None


SMALL: list[UpdateItem] = [TaskFailure(round=0), b"x", memoryview(b"y" * 1000)]


@pytest.fixture(params=SMALL, ids=["failure", "byte", "small chunk"])
def small(request: pytest.FixtureRequest) -> Said:
    return Said(request.param)


async def test_small_messages_without_end_are_refused(small: Said) -> None:
    with pytest.raises(RefusedError, match="client site-1 sends more than") as refused:
        await flood(PacedStream(small, message_paces(), CERTIFIED), 60_000)
    assert refused.value.reason == "RATE_LIMITED"
    assert MESSAGES_AT_ONCE < small.count < 30_000


async def test_all_streams_of_a_certificate_have_one_pace(small: Said) -> None:
    paces = message_paces()
    with pytest.raises(RefusedError):
        await flood(PacedStream(small, paces, CERTIFIED), 60_000)
    with pytest.raises(RefusedError):
        await flood(PacedStream(small, paces, CERTIFIED), 1000)


async def test_chunks_as_clients_send_them_are_not_counted() -> None:
    chunk = Said(memoryview(bytes(CHUNK_BYTES)))
    stream = PacedStream(chunk, message_paces(), CERTIFIED)
    await flood(stream, 60_000)  # sixty gigabytes at once
    await stream.write(UpdateReceipt(round=0))
    assert chunk.answers == [UpdateReceipt(round=0)]


async def test_nobody_is_counted_whom_nobody_knows(small: Said) -> None:
    await flood(PacedStream(small, message_paces(), Peer("unix:")), 10_000)
