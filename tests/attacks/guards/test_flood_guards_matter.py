# SPDX-License-Identifier: Apache-2.0
"""The bounds on what one sender keeps busy, replaced: then it has as much as it likes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mmar_runner.errors import ProtocolError, RefusedError
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.revocation import RevocationList
from mmar_runner.server.calls import streaming
from mmar_runner.server.calls.attempts import MOST_SPOILED, Attempts
from mmar_runner.server.calls.paced_stream import MESSAGES_AT_ONCE, PacedStream, message_paces
from mmar_runner.server.calls.reception import BULK_UPLOADS, BULK_UPLOADS_OF_ONE
from mmar_runner.server.calls.streaming import ChunkReceiver
from mmar_runner.server.calls.turns import Turns
from mmar_runner.server.calls.windows import SharedWindow
from mmar_runner.server.gate.certificate_gate import RUNNING_OF_METHOD, CertificateGate
from mmar_runner.waiting.threads import DiskThreads
from mmar_runner.wire.gate import Peer
from mmar_runner.wire.messages import UpdateCommit

NOW = datetime.now(UTC)
UNREVOKED = SimpleNamespace(
    current=RevocationList("demo", 1, NOW, NOW + timedelta(days=1), ()), refresh=lambda: False
)


class Countless(CertificateGate):
    """Does not count what is running."""

    def live_calls(self, fingerprint: str, method: str | None = None) -> int:
        return 0


async def held_at_once(gate: CertificateGate, certificate: bytes, attempts: int) -> list[str]:
    """Begin calls that stay, all at once, and return the reasons of those not let in."""
    seen = {"x509_pem_cert": [certificate]}
    context = SimpleNamespace(peer=lambda: "ipv4:127.0.0.1:1", auth_context=lambda: seen)
    begun, over = asyncio.Semaphore(0), asyncio.Event()

    async def call() -> str:
        try:
            with gate.call("GetModel", context):
                begun.release()
                await over.wait()
        except RefusedError as error:
            begun.release()
            return error.reason
        return ""

    calls = [asyncio.create_task(call()) for _ in range(attempts)]
    for _ in calls:
        await begun.acquire()
    over.set()
    return [reason for reason in await asyncio.gather(*calls) if reason]


async def test_c03_the_bound_of_running_calls(project: Any) -> None:
    most = RUNNING_OF_METHOD["GetModel"]
    certificate = project.tls("site-1").cert.read_bytes()
    parts: Any = ("demo", UNREVOKED, SimpleNamespace())
    refused = await held_at_once(CertificateGate(*parts), certificate, most + 3)
    assert refused == ["TOO_MANY_CALLS"] * 3
    assert await held_at_once(Countless(*parts), certificate, most + 3) == []


class Sender:
    """Sends so many chunks, waits for nothing but its own pace, and commits."""

    def __init__(self, chunk: bytes, count: int, pause: float | None = None) -> None:
        self._chunk = chunk
        self._count = count
        self._pause = pause

    async def read(self) -> bytes | UpdateCommit:
        if self._pause is not None:
            await asyncio.sleep(self._pause)
        self._count -= 1
        return self._chunk if self._count >= 0 else UpdateCommit(sha256="done")

    async def write(self, item: object) -> None:
        """Hear of no credit."""


class Tray:
    """Says how many chunks lay in memory at once."""

    offset = 0
    most = 0

    def write_many(self, chunks: list[bytes]) -> None:
        self.most = max(self.most, len(chunks))


async def received(
    sender: Sender, receiver: type[ChunkReceiver] = ChunkReceiver, share: int = 8
) -> tuple[str, int]:
    """Return the digest of an update, and how many of its chunks waited at once."""
    disk, tray = DiskThreads(1, name="flood"), Tray()
    window = SharedWindow(share, least=1, most=share)
    stream, file = cast("Any", sender), cast("Any", tray)
    receiving = receiver(stream, file, disk, window=window, progress=lambda _: None)
    try:
        return await receiving.receive(), tray.most
    finally:
        await disk.close()


class Generous(ChunkReceiver):
    """Takes chunks for which nobody had credit."""

    def _take_credit(self) -> None:
        """Count none."""


async def test_c01_the_credit_for_chunks() -> None:
    with pytest.raises(ProtocolError, match="without credit") as error:
        await received(Sender(b"x", 200))
    assert error.value.reason == "PROTOCOL"
    assert await received(Sender(b"x", 200), Generous) == ("done", 200)


async def test_c01_the_pace_of_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same drops, in the same time, are an update where the clock of the pace stands still."""
    monkeypatch.setattr(streaming, "_CHUNK_SECONDS", 0.1)
    drops: dict[str, Any] = {"chunk": b"x", "count": 50, "pause": 0.01}
    with pytest.raises(RefusedError) as error:
        await received(Sender(**drops), share=100)
    assert error.value.reason == "TOO_SLOW"

    honest = streaming._read

    async def patient(stream: Any, deadline: float, what: str) -> Any:
        return await honest(stream, deadline + 3600, what)

    monkeypatch.setattr(streaming, "_read", patient)
    digest, _ = await received(Sender(**drops), share=100)
    assert digest == "done"


class Unhurried(PacedStream):
    """Counts no messages."""

    def _check_pace(self) -> None:
        """Let everybody send as often as they like."""


async def test_c03_the_pace_of_messages(project: Any) -> None:
    certificate = read_peer_certificate(project.tls("site-1").cert.read_bytes())
    messages = int(MESSAGES_AT_ONCE) * 3

    async def flood(kind: type[PacedStream]) -> None:
        stream = cast("Any", Sender(b"x", messages))
        paced = kind(stream, message_paces(), Peer("ipv4:127.0.0.1:1", certificate))
        for _ in range(messages):
            await paced.read()

    with pytest.raises(RefusedError) as error:
        await flood(PacedStream)
    assert error.value.reason == "RATE_LIMITED"
    await flood(Unhurried)


class Unfair(Turns):
    """Gives places to whoever comes first."""

    def _share(self) -> int:
        return self._places


async def served_beside_a_crowd(turns: Turns) -> bool:
    """Let a hundred uploads of one owner come, and return whether another one has a place."""
    async with AsyncExitStack() as stack:
        crowd = [
            asyncio.create_task(stack.enter_async_context(turns.turn("a"))) for _ in range(100)
        ]
        await asyncio.wait(crowd, timeout=0.2)
        try:
            async with asyncio.timeout(0.2), turns.turn("b"):
                return True
        except TimeoutError:
            return False
        finally:
            for task in crowd:
                task.cancel()
            await asyncio.wait(crowd)


async def test_c03_the_share_of_places_for_uploads() -> None:
    assert await served_beside_a_crowd(Turns(BULK_UPLOADS, most=BULK_UPLOADS_OF_ONE))
    assert not await served_beside_a_crowd(Unfair(BULK_UPLOADS, most=BULK_UPLOADS_OF_ONE))


class Forgetful(Attempts):
    """Counts nothing."""

    def count(self, client: str, round_number: int, received: int, *, spoiled: bool) -> None:
        """Forget it."""


def heard(attempts: Attempts, times: int) -> int:
    """Return how often a client that sends updates that are none is heard in one round."""
    for number in range(times):
        try:
            attempts.check("greedy", 0)
        except RefusedError:
            return number
        attempts.count("greedy", 0, 10, spoiled=True)
    return times


def test_c01_the_bound_of_attempts_in_vain() -> None:
    assert heard(Attempts(1000), 100) == MOST_SPOILED
    assert heard(Forgetful(1000), 100) == 100
