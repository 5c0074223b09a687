# SPDX-License-Identifier: Apache-2.0
"""A session over mutual TLS: certificates that are renewed, expire, or never fitted."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mmar_runner.client.session import run_session
from mmar_runner.errors import CertificateError, RefusedError, UnreachableError
from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.issuing import Issuer, issue, make_root
from mmar_runner.security.pki.keys import new_tls_key, save_private_key
from mmar_runner.testing.processes import free_port
from mmar_runner.wire.binding import bind
from mmar_runner.wire.credentials import TlsFiles, server_credentials
from mmar_runner.wire.gate import OpenGate, Peer
from mmar_runner.wire.messages import HeartbeatReply
from mmar_runner.wire.server import build_server

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Authority:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        key = new_tls_key()
        (folder / "rootCA.pem").write_bytes(make_root(key, "project", NOW - 3 * DAY, 10 * DAY))
        self.issuer = Issuer(key, (folder / "rootCA.pem").read_bytes())

    def files(self, role, name, *, hosts=("localhost",), end=DAY):
        """Issue a new key and certificate in place of what was there."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        key, fresh = new_tls_key(), folder / "fresh.key"
        save_private_key(fresh, key)
        identity = Identity("project", role, name)
        period = (NOW - 2 * DAY, NOW + end)
        pem = issue(self.issuer, identity, key.public_key(), period, hosts)
        (folder / "fresh.crt").write_bytes(pem)
        fresh.replace(folder / "tls.key")
        (folder / "fresh.crt").replace(folder / "tls.crt")
        return TlsFiles(folder / "tls.crt", folder / "tls.key", self.folder / "rootCA.pem")


class CertificateReader(OpenGate):
    """Lets everybody in, knows their certificates, and refuses some."""

    def __init__(self):
        super().__init__()
        self.too_old = set()
        self.fingerprints = []
        self.calls = []

    def admit(self, method, caller):
        peer = Peer(caller.address, read_peer_certificate(caller.certificate))
        self.calls.append((method, peer.fingerprint))
        if peer.fingerprint not in self.fingerprints:
            self.fingerprints.append(peer.fingerprint)
        if (error := self.verdict(peer)) is not None:
            raise error
        return peer

    def verdict(self, peer):
        if peer.fingerprint in self.too_old:
            return CertificateError("it expired on 2026-01-01", reason="CERT_EXPIRED")
        return None


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ours")


@pytest.fixture
def client_files(authority):
    return authority.files(Role.CLIENT, "site-1")


@pytest.fixture
def gate():
    return CertificateReader()


@pytest.fixture
def serving_tls(server, authority, gate):
    @asynccontextmanager
    async def serve(files=None):
        running = build_server(server, gate)
        files = files or authority.files(Role.SERVER, "localhost")
        address = bind(running, "localhost:0", credentials=server_credentials(files))
        await running.start()
        try:
            yield address
        finally:
            await running.stop(0)

    return serve


@pytest.fixture
def session(settings, plugins, recorder, trainers, client_files):
    async def run(address, **changes):
        changes = {"tls": client_files, "connect_timeout": 30, **changes}
        changed = replace(settings, target=address, **changes)
        return await run_session(changed, plugins, recorder, asyncio.Event(), children=trainers)

    return run


async def test_a_run_over_mutual_tls(server, serving_tls, session, gate):
    large = bytes(5 << 20)
    server.models = [(0, b"first"), (1, large)]
    async with serving_tls() as address:
        outcome = await session(address)
    assert outcome.status == "finished"
    assert server.updates == {0: b"first!", 1: large + b"!"}
    assert len(gate.fingerprints) == 1


async def test_a_certificate_renewed_in_the_middle_of_a_task_is_used_and_no_round_is_lost(
    server, serving_tls, session, gate, authority, trainers
):
    server.models = [(0, b"first"), (1, b"second")]
    trainers.may_end.clear()
    async with serving_tls() as address:
        running = asyncio.create_task(session(address))
        await trainers.started.wait()
        authority.files(Role.CLIENT, "site-1")
        gate.too_old.update(gate.fingerprints)
        gate.expel(gate.verdict)
        trainers.may_end.set()
        outcome = await running
    assert outcome.status == "finished"
    assert server.updates == {0: b"first!", 1: b"second!"}
    assert len(trainers.tasks) == 2
    assert len(gate.fingerprints) == 2


async def test_a_renewed_certificate_is_noticed_with_the_heartbeat(
    server, serving_tls, session, gate, authority, trainers
):
    server.models, server.lease = [(0, b"first")], 0.3
    trainers.may_end.clear()
    async with serving_tls() as address:
        running = asyncio.create_task(session(address))
        await trainers.started.wait()
        authority.files(Role.CLIENT, "site-1")
        while len(gate.fingerprints) < 2:
            await server.heartbeats.get()
        trainers.may_end.set()
        outcome = await running
    assert outcome.status == "finished"
    assert server.updates == {0: b"first!"}


async def test_a_client_that_renewed_registers_before_it_calls_anything_else(
    server, serving_tls, session, gate, authority, trainers
):
    """A token is one certificate's: with another it would look like a stolen one."""
    server.models, server.lease = [(0, b"first"), (1, b"second")], 0.3
    train, second, may_go_on = trainers.train, asyncio.Event(), asyncio.Event()

    async def held_in_the_second(task):
        if task.round == 1:
            second.set()
            await may_go_on.wait()
        return await train(task)

    trainers.train = held_in_the_second
    async with serving_tls() as address:
        running = asyncio.create_task(session(address))
        await second.wait()
        authority.files(Role.CLIENT, "site-1")
        while len(gate.fingerprints) < 2:
            await server.heartbeats.get()
        may_go_on.set()
        outcome = await running
    assert outcome.status == "finished"
    assert server.updates == {0: b"first!", 1: b"second!"}
    renewed = gate.fingerprints[1]
    calls = [method for method, who in gate.calls if who == renewed]
    assert calls[0] == "Register"
    assert "SubmitUpdate" in calls
    assert len(server.registrations) == 2


async def test_an_expired_certificate_that_nobody_renewed_ends_the_session(
    server, serving_tls, session, gate, trainers
):
    server.models = [(0, b"first")]
    trainers.may_end.clear()
    async with serving_tls() as address:
        running = asyncio.create_task(session(address))
        await trainers.started.wait()
        gate.too_old.update(gate.fingerprints)
        gate.expel(gate.verdict)
        with pytest.raises(RefusedError, match="2026-01-01") as caught:
            await running
    assert caught.value.reason == "CERT_EXPIRED"
    assert server.updates == {}


async def test_half_a_renewal_is_waited_for_when_the_old_certificate_is_no_longer_taken(
    server, serving_tls, session, gate, authority, trainers, client_files, caplog
):
    server.models, server.lease = [(0, b"first")], 0.3
    trainers.may_end.clear()
    async with serving_tls() as address:
        running = asyncio.create_task(session(address))
        await trainers.started.wait()
        old_key = client_files.key.read_bytes()
        authority.files(Role.CLIENT, "site-1")
        new_key = client_files.key.read_bytes()
        client_files.key.write_bytes(old_key)
        gate.too_old.update(gate.fingerprints)
        gate.expel(gate.verdict)
        trainers.may_end.set()
        done, _ = await asyncio.wait({running}, timeout=1.0)
        assert not done
        client_files.key.write_bytes(new_key)
        outcome = await running
    assert outcome.status == "finished"
    assert server.updates == {0: b"first!"}
    told = [one.getMessage() for one in caplog.records if one.name.startswith("mmar_runner.wire")]
    assert ["stays" in one or "again" in one for one in told] == [True, True]


@pytest.mark.parametrize("part", ["cert", "key", "root"])
async def test_files_that_break_before_anybody_answered_are_waited_for_too(
    server, session, authority, client_files, recorder, part
):
    server.models = [(0, b"first")]
    path, port = getattr(client_files, part), free_port()
    running = asyncio.create_task(session(f"localhost:{port}"))
    await asyncio.to_thread(recorder.wait_for, Topic.UNREACHABLE)
    whole = path.read_bytes()
    path.write_bytes(b"")
    done, _ = await asyncio.wait({running}, timeout=2.5)
    assert not done
    path.write_bytes(whole)
    listening = build_server(server, CertificateReader())
    files = authority.files(Role.SERVER, "localhost")
    bind(listening, f"localhost:{port}", credentials=server_credentials(files))
    await listening.start()
    outcome = await running
    await listening.stop(0)
    assert outcome.status == "finished"


@pytest.mark.parametrize("reason", ["TOKEN_EXPIRED", "TOKEN_NOT_BOUND"])
async def test_a_token_that_is_no_longer_taken_is_replaced(server, serving_tls, session, reason):
    server.models = [(0, b"first")]
    check, refused = server.check, []

    def once(token):
        if not refused:
            refused.append(token)
            raise RefusedError("not this one", reason=reason)
        check(token)

    server.check = once
    async with serving_tls() as address:
        outcome = await session(address)
    assert outcome.status == "finished"
    assert len(server.registrations) == 2


async def test_a_token_from_a_heartbeat_is_used_from_then_on(
    server, serving_tls, session, trainers
):
    server.models, server.lease = [(0, b"first")], 0.3
    trainers.may_end.clear()
    seen = asyncio.Queue()

    async def heartbeat(request, peer):
        server.check(request.token)
        server.token = "token-renewed"
        seen.put_nowait(request.token)
        return HeartbeatReply(lease_seconds=0.3, token="token-renewed")

    server.heartbeat = heartbeat
    async with serving_tls() as address:
        running = asyncio.create_task(session(address))
        await trainers.started.wait()
        while await seen.get() != "token-renewed":
            pass
        trainers.may_end.set()
        outcome = await running
    assert outcome.status == "finished"
    assert len(server.registrations) == 1


@pytest.mark.parametrize(
    ("hosts", "end", "reason"),
    [
        (("fl.example.org",), DAY, "CERT_HOST"),
        (("localhost",), -DAY, "CERT_EXPIRED"),
    ],
    ids=["name", "date"],
)
async def test_a_server_that_cannot_be_the_right_one_ends_the_session_in_words(
    serving_tls, session, recorder, authority, hosts, end, reason
):
    files = authority.files(Role.SERVER, "server", hosts=hosts, end=end)
    async with serving_tls(files) as address:
        begun = time.monotonic()
        with pytest.raises(CertificateError) as caught:
            await session(address)
    assert caught.value.reason == reason
    assert time.monotonic() - begun < 20
    assert recorder.all(Topic.UNREACHABLE) == []
    if reason == "CERT_EXPIRED":
        assert "tell whoever runs the server" in caught.value.hint


async def test_a_name_that_nobody_knows_is_said_to_be_one(session, recorder):
    with pytest.raises(UnreachableError, match="cannot find the name fl"):
        await session("fl.hospital.invalid:8002", connect_timeout=1.5)
    told = recorder.all(Topic.UNREACHABLE)[0].data
    assert told["message"] == "this machine cannot find the name fl.hospital.invalid"
    assert "/etc/hosts" in told["hint"]


async def test_a_server_of_another_authority_ends_the_session_in_words(
    tmp_path, serving_tls, session
):
    files = Authority(tmp_path / "theirs").files(Role.SERVER, "localhost")
    async with serving_tls(files) as address:
        with pytest.raises(CertificateError) as caught:
            await session(address)
    assert caught.value.reason == "CERT_AUTHORITY"


async def test_an_own_certificate_of_another_authority_is_refused_in_words(
    tmp_path, serving_tls, session, authority
):
    stranger = Authority(tmp_path / "theirs").files(Role.CLIENT, "site-1")
    tls = replace(stranger, root=authority.folder / "rootCA.pem")
    async with serving_tls() as address:
        with pytest.raises(CertificateError) as caught:
            await session(address, tls=tls)
    assert caught.value.reason == "CERT_REFUSED"


async def test_a_server_without_tls_ends_the_session_in_words(server, session):
    running = build_server(server)
    address = bind(running, "localhost:0")
    await running.start()
    with pytest.raises(CertificateError) as caught:
        await session(address)
    await running.stop(0)
    assert caught.value.reason == "NOT_TLS"


async def test_certificate_and_key_that_are_no_pair_end_the_session_at_once(
    session, authority, client_files
):
    other = authority.files(Role.CLIENT, "site-2")
    with pytest.raises(CertificateError) as caught:
        await session("localhost:1", tls=replace(client_files, key=other.key))
    assert caught.value.reason == "TLS_FILES"


async def test_a_server_that_takes_no_token_is_not_asked_ever_faster(server, serving_tls, session):
    def never(token):
        raise RefusedError("not this one", reason="TOKEN_NOT_BOUND")

    server.models, server.check = [(0, b"first")], never
    async with serving_tls() as address:
        running = asyncio.create_task(session(address))
        await asyncio.wait({running}, timeout=1.5)
        running.cancel()
        await asyncio.wait({running})
    assert 2 <= len(server.registrations) <= 8
