# SPDX-License-Identifier: Apache-2.0
"""A session over mutual TLS, whose certificate or token is replaced meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.interfaces.observer import Topic
from mmar_runner.security.identity import Role
from mmar_runner.testing.processes import free_port
from mmar_runner.wire.credentials import server_credentials
from mmar_runner.wire.messages import HeartbeatReply
from tests.served import served
from tests.unit.client.tls.authorities import CertificateReader


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
    told = [
        one.getMessage() for one in caplog.records if one.name.startswith("mmar_runner.storage")
    ]
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
    known = server_credentials(authority.files(Role.SERVER, "localhost"))
    async with served(server, CertificateReader(), at=f"localhost:{port}", credentials=known):
        outcome = await running
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
