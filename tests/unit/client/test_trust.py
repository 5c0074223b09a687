# SPDX-License-Identifier: Apache-2.0
"""What a site remembers of revocations, and what it writes down."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from mmar_runner.client.session import run_session
from mmar_runner.client.trust import ClientTrust
from mmar_runner.errors import (
    CertificateError,
    NotAuthorizedError,
    RefusedError,
    SignatureError,
)
from mmar_runner.security.audit.log import AuditLog
from mmar_runner.security.audit.reading import read_audit
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.issuing import Issuer, issue, make_root
from mmar_runner.security.pki.keys import new_tls_key
from mmar_runner.security.pki.revocation import RevocationList, RevocationMemory, sign_revocations
from mmar_runner.security.policy.edit import record_digest
from mmar_runner.security.policy.followed import FollowedPolicy
from mmar_runner.wire.messages import HeartbeatReply

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
KEY, STRANGER = new_tls_key(), new_tls_key()


def listed(version, *, key=KEY, **what):
    return sign_revocations(RevocationList("project", version, NOW, NOW + DAY, **what), key)


@pytest.fixture
def trust(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "revocations.json").write_bytes(listed(3))
    root = make_root(KEY, "project", NOW - DAY, 3 * DAY)
    identity = Identity("project", Role.CLIENT, "site-1")
    kit = SimpleNamespace(identity=identity, target="localhost:8002")
    memory = RevocationMemory(tmp_path / "revocations.json", tmp_path / "state", root)
    with AuditLog(tmp_path / "audit.jsonl") as audit:
        yield ClientTrust(kit, memory, audit, "localhost:8443")


def written(trust):
    trust.audit.flush()
    return [
        (one["action"], one["decision"], one["reason"])
        for one in read_audit(trust.audit._file.path)
    ]


def test_a_newer_list_is_kept_and_written_down(trust):
    trust.offer(listed(4, serials=("ab",)), "digest")
    assert trust.version == 4
    assert trust.revocations.current.revokes_certificate("ab")
    assert written(trust) == [("Revocations", "accepted", "")]


def test_a_line_names_the_server_that_was_called_not_the_one_of_the_kit(trust):
    trust.record("Register", "accepted")
    trust.audit.flush()
    (line,) = read_audit(trust.audit._file.path)
    assert line["peer"] == "localhost:8443" != trust.kit.target


@pytest.fixture
def project(tmp_path):
    return Issuer(KEY, make_root(KEY, "project", NOW - DAY, 3 * DAY))


def shown(issuer, role=Role.SERVER, project="project"):
    """Return a certificate as a server might show it, and its serial number."""
    identity = Identity(project, role, "localhost")
    pem = issue(issuer, identity, new_tls_key().public_key(), (NOW - DAY, NOW + DAY))
    return pem, read_peer_certificate(pem).serial


def test_a_server_whose_key_was_stolen_is_not_spoken_to(trust, project):
    certificate, serial = shown(project)
    trust.judge_server(certificate)
    trust.offer(listed(4, serials=(serial,)), "digest")
    with pytest.raises(CertificateError, match="which was revoked") as caught:
        trust.judge_server(certificate)
    assert caught.value.reason == "CERT_REVOKED"
    trust.judge_server(shown(project)[0])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"role": Role.CLIENT}, "ROLE"), ({"project": "another"}, "CERT_PROJECT")],
)
def test_whoever_is_no_server_of_the_project_is_not_spoken_to(trust, project, changes, reason):
    with pytest.raises(CertificateError) as caught:
        trust.judge_server(shown(project, **changes)[0])
    assert caught.value.reason == reason


def test_the_same_list_again_is_no_event(trust):
    trust.offer(listed(3), "digest")
    assert written(trust) == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (listed(2), "VERSION_ROLLBACK"),
        (listed(9, key=STRANGER), "SIGNER_NOT_TRUSTED"),
        (b"{}", "FORMAT"),
    ],
    ids=["older", "a-strangers", "nonsense"],
)
def test_a_list_that_does_not_count_changes_nothing_and_is_written_down(trust, data, reason):
    trust.offer(data, "digest")
    assert trust.version == 3
    assert written(trust) == [("Revocations", "refused", reason)]


def test_a_list_that_revokes_the_running_mmar_ends_the_work(trust):
    with pytest.raises(SignatureError) as caught:
        trust.offer(listed(4, digests=("d" * 64,)), "d" * 64)
    assert caught.value.reason == "DIGEST_REVOKED"
    assert trust.version == 4


async def test_a_session_that_is_refused_leaves_one_line_behind(
    trust, server, serving, settings, plugins, recorder
):
    async def revoked(request, peer):
        raise CertificateError("the certificate was revoked", reason="CERT_REVOKED")

    server.register = revoked
    changed = replace(settings, trust=trust)
    async with serving():
        with pytest.raises(RefusedError, match="was revoked"):
            await run_session(changed, plugins, recorder, asyncio.Event())
    assert written(trust) == [("Session", "refused", "CERT_REVOKED")]


async def test_a_session_takes_a_list_from_a_heartbeat(
    trust, server, serving, settings, plugins, recorder, trainers
):
    server.models, server.lease = [(0, b"first")], 0.3
    trainers.may_end.clear()
    asked = asyncio.Queue()

    async def heartbeat(request, peer):
        asked.put_nowait(request.revocations_version)
        return HeartbeatReply(lease_seconds=0.3, revocations=listed(4))

    server.heartbeat = heartbeat
    async with serving():
        changed = replace(settings, trust=trust)
        running = asyncio.create_task(
            run_session(changed, plugins, recorder, asyncio.Event(), children=trainers)
        )
        while await asked.get() != 4:
            pass
        trainers.may_end.set()
        outcome = await running
    assert outcome.status == "finished"
    assert written(trust) == [("Register", "accepted", ""), ("Revocations", "accepted", "")]


async def test_a_list_that_revokes_the_mmar_comes_with_the_registration(
    trust, server, serving, settings, plugins, recorder, trainers
):
    server.models = [(0, b"first")]
    revoked = listed(4, digests=(settings.spec.digest,))
    register, asked = server.register, []

    async def registered(request, peer):
        asked.append(request.revocations_version)
        reply = await register(request, peer)
        reply.revocations = revoked
        return reply

    server.register = registered
    changed = replace(settings, trust=trust)
    async with serving():
        with pytest.raises(SignatureError) as caught:
            await run_session(changed, plugins, recorder, asyncio.Event(), children=trainers)
    assert caught.value.reason == "DIGEST_REVOKED"
    assert asked == [3]
    assert server.updates == {}


async def test_a_list_that_revokes_the_running_mmar_ends_the_session(
    trust, server, serving, settings, plugins, recorder, trainers
):
    server.models, server.lease = [(0, b"first")], 0.3
    trainers.may_end.clear()
    revoked = listed(4, digests=(settings.spec.digest,))

    async def heartbeat(request, peer):
        return HeartbeatReply(lease_seconds=0.3, revocations=revoked)

    server.heartbeat = heartbeat
    async with serving():
        with pytest.raises(SignatureError) as caught:
            await run_session(
                replace(settings, trust=trust),
                plugins,
                recorder,
                asyncio.Event(),
                children=trainers,
            )
    assert caught.value.reason == "DIGEST_REVOKED"
    assert trainers.closed == 1
    assert server.updates == {}


async def test_an_mmar_that_the_site_blocks_ends_the_running_session(
    tmp_path, trust, server, serving, settings, plugins, recorder, trainers
):
    """The server is told, and waits for no lease."""
    policy = tmp_path / "site_policy.json"
    server.models, server.lease = [(0, b"first")], 0.3
    trainers.may_end.clear()
    trust = replace(trust, policy=FollowedPolicy(policy))
    async with serving():
        running = asyncio.create_task(
            run_session(
                replace(settings, trust=trust),
                plugins,
                recorder,
                asyncio.Event(),
                children=trainers,
            )
        )
        await trainers.started.wait()
        await server.heartbeats.get()
        record_digest(policy, settings.spec.digest, "block")
        with pytest.raises(NotAuthorizedError) as caught:
            await running
    assert caught.value.reason == "DIGEST_BLOCKED"
    assert written(trust) == [
        ("Register", "accepted", ""),
        ("Session", "refused", "DIGEST_BLOCKED"),
    ]
    assert trainers.closed == 1
    assert server.updates == {}
    assert server.quits == [f"the site blocks the MMAR with the digest {settings.spec.digest}"]
