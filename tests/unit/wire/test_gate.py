# SPDX-License-Identifier: Apache-2.0
"""Calls pass a gate, over real TLS too; what it let in it can end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.errors import CertificateError, MmarRunnerError, RefusedError, UnreachableError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.issuing import Issuer, issue, make_root
from mmar_runner.security.pki.keys import new_tls_key, save_private_key
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.credentials import TlsFiles, channel_credentials, server_credentials
from mmar_runner.wire.gate import Caller, Gate, Peer
from mmar_runner.wire.messages import (
    GetModelRequest,
    HeartbeatReply,
    HeartbeatRequest,
    ModelHeader,
    QuitReply,
    RegisterReply,
    RegisterRequest,
    ResultReply,
    UpdateBegin,
)
from mmar_runner.wire.servicer import FederationServicer
from mmar_runner.wire.stub import FederationStub
from tests.served import served

DAY = timedelta(days=1)


class WatchedGate(Gate):
    """Knows who came, and whom it has turned away."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[tuple[str, str]] = []
        self.turned_away: list[tuple[str, str]] = []

    def admit(self, method: str, caller: Caller) -> Peer:
        if caller.certificate is None:
            return Peer(caller.address)
        peer = Peer(caller.address, read_peer_certificate(caller.certificate))
        self.came.append((method, peer.who))
        if peer.who == "client site-9":
            raise CertificateError("it is revoked", reason="CERT_REVOKED")
        return peer

    def refused(self, method: str, caller: Caller, error: MmarRunnerError) -> None:
        self.turned_away.append((method, error.reason))


class Holding(FederationServicer):
    """Holds every stream until it is ended."""

    def __init__(self) -> None:
        self.held = asyncio.Event()
        self.left: list[str] = []

    async def register(self, request, peer):
        return RegisterReply(token=peer.who)

    async def quit(self, request, peer):
        return QuitReply()

    async def heartbeat(self, request, peer):
        return HeartbeatReply()

    async def send_result(self, request, peer):
        return ResultReply()

    async def get_model(self, request, peer):
        yield ModelHeader(round=1, inline=b"x", total_bytes=1)
        try:
            self.held.set()
            await asyncio.Event().wait()
        finally:
            self.left.append("get_model")

    async def submit_update(self, stream, peer):
        try:
            await stream.read()
            self.held.set()
            await stream.read()
        finally:
            self.left.append("submit_update")


@asynccontextmanager
async def serving(
    credentials: Any = None, tls: TlsFiles | None = None
) -> AsyncIterator[tuple[Holding, WatchedGate, FederationStub]]:
    servicer, gate = Holding(), WatchedGate()
    async with served(servicer, gate, credentials=credentials) as address:
        known = None if tls is None else channel_credentials(tls)
        channel = open_channel(address, credentials=known)
        try:
            yield servicer, gate, FederationStub(channel, address)
        finally:
            await channel.close()


def tls_files(folder: Path, issuer: Issuer, identity: Identity) -> TlsFiles:
    folder.mkdir()
    key, now = new_tls_key(), datetime.now(UTC)
    hosts = ["localhost", "127.0.0.1"] if identity.role is Role.SERVER else []
    certificate = issue(issuer, identity, key.public_key(), (now - DAY, now + DAY), hosts)
    (folder / "cert.pem").write_bytes(certificate)
    save_private_key(folder / "key.pem", key)
    (folder / "root.pem").write_bytes(issuer.certificate)
    return TlsFiles(folder / "cert.pem", folder / "key.pem", folder / "root.pem")


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    key = new_tls_key()
    return Issuer(key, make_root(key, "demo", datetime.now(UTC), DAY))


@pytest.fixture
def server_tls(tmp_path: Path, issuer: Issuer) -> TlsFiles:
    return tls_files(tmp_path / "server", issuer, Identity("demo", Role.SERVER, "localhost"))


async def test_the_identity_is_that_of_the_certificate(
    tmp_path: Path, issuer: Issuer, server_tls: TlsFiles
) -> None:
    tls = tls_files(tmp_path / "site", issuer, Identity("demo", Role.CLIENT, "site-1"))
    async with serving(server_credentials(server_tls), tls) as (_, gate, stub):
        assert (await stub.register(RegisterRequest(), timeout=5)).token == "client site-1"
        assert gate.came == [("Register", "client site-1")]


async def test_without_a_certificate_nothing_is_answered(server_tls: TlsFiles) -> None:
    async with serving(server_credentials(server_tls)) as (_, gate, stub):
        with pytest.raises(UnreachableError):
            await stub.heartbeat(HeartbeatRequest(), timeout=5)
        assert gate.came == []


async def test_a_refusal_at_the_gate_keeps_its_reason(
    tmp_path: Path, issuer: Issuer, server_tls: TlsFiles
) -> None:
    tls = tls_files(tmp_path / "site", issuer, Identity("demo", Role.CLIENT, "site-9"))
    async with serving(server_credentials(server_tls), tls) as (_, gate, stub):
        with pytest.raises(RefusedError) as refused:
            await stub.heartbeat(HeartbeatRequest(), timeout=5)
        assert refused.value.reason == "CERT_REVOKED"
        assert gate.turned_away == [("Heartbeat", "CERT_REVOKED")]


async def test_a_held_stream_is_ended_with_the_reason() -> None:
    async with serving() as (servicer, gate, stub):
        call = stub.get_model(GetModelRequest())
        items = aiter(call)
        await anext(items)
        await servicer.held.wait()
        gate.expel(lambda _: CertificateError("it was revoked", reason="CERT_REVOKED"))
        with pytest.raises(RefusedError) as refused:
            await anext(items)
        assert refused.value.reason == "CERT_REVOKED"
        assert servicer.left == ["get_model"]
        assert gate.turned_away == [("GetModel", "CERT_REVOKED")]


async def test_an_upload_under_way_is_ended_with_the_reason() -> None:
    async with serving() as (servicer, gate, stub):
        call = stub.submit_update()
        await call.write(UpdateBegin(token="t"))
        await servicer.held.wait()
        gate.expel(lambda _: CertificateError("it was revoked", reason="CERT_REVOKED"))
        with pytest.raises(RefusedError) as refused:
            await call.read()
        assert refused.value.reason == "CERT_REVOKED"
        assert servicer.left == ["submit_update"]


async def test_the_calls_of_one_client_are_ended_and_those_of_others_go_on() -> None:
    gate = WatchedGate()
    ended, began = list[str](), asyncio.Semaphore(0)
    context: Any = SimpleNamespace(peer=lambda: "ipv4:127.0.0.1:1", auth_context=dict)

    async def call(client: str) -> None:
        try:
            with gate.call("GetModel", context):
                gate.name_caller(client)
                began.release()
                await asyncio.Event().wait()
        except RefusedError as error:
            ended.append(f"{client}: {error.reason}")

    calls = [asyncio.create_task(call(name)) for name in ("site-1", "site-2")]
    for _ in calls:
        await began.acquire()
    error = RefusedError("it was removed", reason="CLIENT_REMOVED")
    assert gate.end_calls_of("site-1", error) == {calls[0]}
    await calls[0]
    assert ended == ["site-1: CLIENT_REMOVED"]
    assert gate.live_calls("") == 1
    gate.name_caller("nobody")  # outside of a call it says nothing
    calls[1].cancel()
    await asyncio.wait({calls[1]})


async def test_only_those_are_ended_whom_the_verdict_names() -> None:
    async with serving() as (servicer, gate, stub):
        call = stub.get_model(GetModelRequest())
        await anext(aiter(call))
        await servicer.held.wait()
        assert gate.expel(lambda _: None) == {}
        assert gate.live_calls("") == 1
        assert servicer.left == []
        call.cancel()


async def test_calls_are_counted_by_kind_until_they_end() -> None:
    async with serving() as (servicer, gate, stub):
        call = stub.submit_update()
        await call.write(UpdateBegin(token="t"))
        await servicer.held.wait()
        assert gate.live_calls("") == gate.live_calls("", "SubmitUpdate") == 1
        assert gate.live_calls("", "GetModel") == 0
        gate.expel(lambda _: CertificateError("it was revoked", reason="CERT_REVOKED"))
        with pytest.raises(RefusedError):
            await call.read()
        assert gate.live_calls("") == 0
