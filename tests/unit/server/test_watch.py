# SPDX-License-Identifier: Apache-2.0
"""Whose certificate is revoked goes, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from mmar_runner.errors import AuditError, CertificateError
from mmar_runner.security.identity import Identity, PeerCertificate, Role
from mmar_runner.server.gate.guard import Guard
from mmar_runner.server.gate.names import BelievedNames
from mmar_runner.server.members.members import Members
from mmar_runner.server.members.registry import ClientRegistry
from mmar_runner.server.members.watch import Watch
from mmar_runner.wire.gate import Peer

NOW = datetime(2030, 1, 1, tzinfo=UTC)
REVOKED = CertificateError("it is revoked", reason="CERT_REVOKED")


def peer(name: str) -> Peer:
    certificate = PeerCertificate(Identity("demo", Role.CLIENT, name), name, "1", NOW, NOW)
    return Peer("ipv4:127.0.0.1:1", certificate)


def revoked(*digests: str) -> Any:
    current = SimpleNamespace(version=1, revokes_digest=lambda one: one in digests)
    return SimpleNamespace(refresh=lambda: True, current=current)


def letting_go(registry: ClientRegistry, guard: Guard, left: list[str]) -> Any:
    """Return members whose leaving is noted in a list."""
    parts: tuple[Any, ...] = (
        registry,
        SimpleNamespace(client_left=lambda name, _: left.append(name)),
        None,
        SimpleNamespace(observe=lambda _: None),
    )
    terms: dict[str, Any] = {"mint": None, "task_name": "job", "run_number": 1}
    return Members(*parts, guard=guard, **terms)


class Full:
    """A log whose disk is full."""

    def record(self, *_: Any, **__: Any) -> None:
        raise AuditError("the disk is full", reason="AUDIT_WRITE")


async def test_a_log_that_cannot_be_written_keeps_none_of_the_revoked_in_the_round() -> None:
    registry = ClientRegistry(max_clients=9, lease_seconds=3600)
    for name in ("a_1", "a_2", "b_1", "c_1"):
        registry.register(
            name, bytes(32), now=time.monotonic(), mmar_digest="", fingerprint=name[0]
        )
    left: list[str] = []
    ended = {peer("a"): REVOKED, peer("b"): REVOKED}
    guard: Any = Guard(
        SimpleNamespace(expel=lambda _: ended, verdict=None),
        BelievedNames(),
        Full(),
        None,
        revoked(),
    )
    members = letting_go(registry, guard, left)
    watch = Watch(guard, members, lease_seconds=3600, digest="d", end=pytest.fail)
    with pytest.raises(AuditError):
        watch._look()
    watch.close()
    assert sorted(left) == ["a_1", "a_2", "b_1"]
    assert registry.present() == ["c_1"]


async def test_a_revoked_mmar_ends_its_run_and_another_does_not() -> None:
    reasons: list[str] = []
    gate = SimpleNamespace(expel=lambda _: {}, verdict=None)
    guard: Any = Guard(gate, BelievedNames(), None, None, revoked("d" * 64))
    for digest in ("e" * 64, "d" * 64):
        members: Any = None
        watch = Watch(guard, members, lease_seconds=3600, digest=digest, end=reasons.append)
        watch._look()
        watch.close()
    assert reasons == [f"the MMAR of this run was revoked (digest {'d' * 64})"]


async def test_a_log_that_cannot_be_written_keeps_no_revoked_mmar_running() -> None:
    reasons: list[str] = []
    gate = SimpleNamespace(expel=lambda _: {}, verdict=None)
    guard: Any = Guard(gate, BelievedNames(), Full(), None, revoked("d" * 64))
    members: Any = None
    watch = Watch(guard, members, lease_seconds=3600, digest="d" * 64, end=reasons.append)
    guard.revocations.current.version = 2
    with pytest.raises(AuditError):
        watch._look()
    watch.close()
    assert len(reasons) == 1


async def test_a_log_that_cannot_be_written_keeps_nobody_whose_lease_has_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = ClientRegistry(max_clients=9, lease_seconds=-1)
    for name in ("a", "b"):
        registry.register(name, bytes(32), now=asyncio.get_running_loop().time(), mmar_digest="")
    left: list[str] = []
    guard: Any = Guard(SimpleNamespace(), BelievedNames(), Full(), None, None)
    members = letting_go(registry, guard, left)
    members._sweep()
    members.close()
    assert sorted(left) == ["a", "b"]
    assert "the disk is full" in caplog.text
