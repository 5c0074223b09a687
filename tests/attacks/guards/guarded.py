# SPDX-License-Identifier: Apache-2.0
"""A gate and its callers, for tests that take a guard away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from mmar_runner.security.audit.log import AuditLog
from mmar_runner.security.pki.certificates import read_peer_certificate
from mmar_runner.security.pki.revocation import RevocationList
from mmar_runner.server.gate.certificate_gate import CertificateGate
from mmar_runner.wire.gate import Caller, Peer

NOW = datetime.now(UTC)


class Listed:
    """A list of revocations, or one that never has anything."""

    def __init__(self, *serials: str) -> None:
        self.current = RevocationList("demo", 1, NOW, NOW + timedelta(days=1), serials)

    def refresh(self) -> bool:
        return False


def caller(tls: Any) -> Caller:
    return Caller("ipv4:127.0.0.1:1", tls.cert.read_bytes())


def peer(tls: Any) -> Peer:
    return Peer("ipv4:127.0.0.1:1", read_peer_certificate(tls.cert.read_bytes()))


def gate(audit: AuditLog, revocations: Any = None, **options: Any) -> CertificateGate:
    return CertificateGate("demo", revocations or Listed(), audit, **options)
