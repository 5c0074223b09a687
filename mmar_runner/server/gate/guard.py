# SPDX-License-Identifier: Apache-2.0
"""Everything that stands between the network and a run, chosen once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.server.gate.audited_gate import AuditedGate
from mmar_runner.server.gate.names import BelievedNames, CertifiedNames

if TYPE_CHECKING:
    import grpc

    from mmar_runner.security.audit.log import AuditLog
    from mmar_runner.security.pki.followed import Revocations
    from mmar_runner.server.gate.names import NameRule
    from mmar_runner.server.settings import ServerSettings
    from mmar_runner.server.trust import ServerTrust
    from mmar_runner.wire.gate import Gate


@dataclass(frozen=True, slots=True)
class Guard:
    """What stands between the network and a run.

    Attributes:
        gate: Decides about every call.
        names: Says who may have which name.
        audit: Everything that was decided.
        credentials: For TLS; None speaks plain text.
        revocations: What the project has revoked, if it has certificates.
    """

    gate: Gate
    names: NameRule
    audit: AuditLog
    credentials: grpc.ServerCredentials | None = None
    revocations: Revocations | None = None


def make_guard(settings: ServerSettings, audit: AuditLog) -> Guard:
    """Return the guard that a server's settings ask for.

    Raises:
        SignatureError: The list of revocations is not the project's.
        KitError: Certificate and key are no pair.
        StorageError: A file of the kit cannot be read.
    """
    if settings.trust is None:
        return Guard(AuditedGate(audit), BelievedNames(), audit)
    return _certified(settings.trust, audit)


def _certified(trust: ServerTrust, audit: AuditLog) -> Guard:
    # Imported late: a server on loopback needs no cryptography.
    from mmar_runner.security.pki.followed import Revocations  # noqa: PLC0415
    from mmar_runner.server.gate.certificate_gate import CertificateGate  # noqa: PLC0415
    from mmar_runner.wire.credentials import TlsFiles, server_credentials  # noqa: PLC0415

    kit = trust.kit
    revocations = Revocations(kit.revocations, kit.revocation_memory())
    return Guard(
        CertificateGate(kit.identity.project, revocations, audit),
        CertifiedNames(trust.decisions.keys(), trust.decisions),
        audit,
        server_credentials(TlsFiles(kit.cert_file, kit.key_file, kit.root_file)),
        revocations,
    )
