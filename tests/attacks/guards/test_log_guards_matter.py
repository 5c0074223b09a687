# SPDX-License-Identifier: Apache-2.0
"""The audit log and the bound of connections, replaced: then the attack goes through."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import AuditError, RefusedError
from mmar_runner.security.audit import file as audit_file
from mmar_runner.security.audit import reading as audit_reading
from mmar_runner.security.audit.line import Link
from mmar_runner.security.audit.log import AuditLog
from mmar_runner.security.audit.reading import read_audit, verify_audit
from mmar_runner.server.gate.certificate_gate import CertificateGate
from mmar_runner.server.gate.names import BelievedNames
from mmar_runner.wire.gate import Peer
from tests.attacks.guards.guarded import Listed, caller, gate
from tests.served import Nobody, served


class Silent:
    """A log that keeps nothing."""

    def record(self, *_: Any, **__: Any) -> None:
        """Forget it."""


def test_the_audit_log(project: Any, audit: AuditLog, tmp_path: Path) -> None:
    """What is refused at the gate has a line, and without the log it has none."""
    shown = caller(project.tls("site-1"))
    refusal = RefusedError("no", reason="TOKEN_INVALID")
    CertificateGate("demo", Listed(), Silent()).refused("Quit", shown, refusal)
    gate(audit).refused("Heartbeat", shown, refusal)
    audit.flush()
    (line,) = read_audit(tmp_path / "audit.jsonl")
    found = (line["who"], line["action"], line["reason"], line["peer"])
    assert found == ("client site-1", "Heartbeat", "TOKEN_INVALID", "ipv4:127.0.0.1:1")


def test_the_chain_of_the_audit_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    with AuditLog(path) as log:
        for who in ("client honest", "client other"):
            log.record("Register", who=who)
    path.write_bytes(path.read_bytes().replace(b"client honest", b"client framed"))
    with pytest.raises(AuditError) as error:
        verify_audit(path)
    assert error.value.reason == "AUDIT_ALTERED"

    def believing(data: bytes, before: Any) -> Any:
        value = json.loads(data)
        return value, Link(value["seq"], value["hash"])

    monkeypatch.setattr(audit_reading, "check_line", believing)
    assert verify_audit(path).lines == 2


def test_the_place_of_the_audit_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a log that was taken away is written to where nobody can read it."""
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log.record("Register", who="client a")
    log.flush()
    path.rename(tmp_path / "taken")
    log.record("Register", who="client b")
    with pytest.raises(AuditError) as error:
        log.flush()
    assert error.value.reason == "AUDIT_ALTERED"
    monkeypatch.setattr(audit_file.AuditFile, "_check_place", lambda self: None)
    log.flush()
    log.close()
    assert b"client b" in (tmp_path / "taken").read_bytes()
    assert not path.exists()


async def stays_open(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(1):
            return bool(await reader.read(1))  # a server that stays says something first
    except TimeoutError:
        return True
    except ConnectionResetError:
        return False


@pytest.mark.parametrize(("bound", "stay"), [(3, 3), (None, 20)])
async def test_c02_the_bound_of_connections(bound: int | None, stay: int) -> None:
    """Those beyond it are closed as they come, so that files are left for the run."""
    async with served(Nobody(), max_connections=bound) as address:
        host, _, port = address.rpartition(":")
        lines = [await asyncio.open_connection(host, int(port)) for _ in range(20)]
        kept = sum(await asyncio.gather(*(stays_open(reader) for reader, _ in lines)))
        for _, writer in lines:
            writer.close()
    assert kept == stay


async def test_a04_a_log_that_cannot_be_written_keeps_no_revoked_site_here() -> None:
    """The watch goes on looking, whatever becomes of what it writes down."""
    from types import SimpleNamespace

    from mmar_runner.server.gate.guard import Guard
    from mmar_runner.server.members.watch import Watch

    class Full:
        def record(self, *_: Any, **__: Any) -> None:
            raise AuditError("the disk is full", reason="AUDIT_WRITE")

    looks: list[int] = []
    revoked = RefusedError("it is revoked", reason="CERT_REVOKED")

    def expel(_: Any) -> dict[Peer, RefusedError]:
        looks.append(1)
        return {Peer("ipv4:127.0.0.1:1"): revoked}

    expelled: list[str] = []
    revocations = SimpleNamespace(
        refresh=lambda: True, current=SimpleNamespace(version=1, revokes_digest=lambda _: False)
    )
    turnstile = SimpleNamespace(expel=expel, verdict=None)
    guard = Guard(turnstile, BelievedNames(), Full(), None, revocations)
    members = SimpleNamespace(expel=lambda fingerprint, why: expelled.append(why))
    watch = Watch(guard, members, lease_seconds=3600, digest="", end=pytest.fail)
    watch.begin()
    revocations.current.version = 2
    for _ in range(2):
        with pytest.raises(AuditError):
            watch._look()
    assert len(looks) == len(expelled) == 2
    assert watch._timer is not None
    watch.close()
