# SPDX-License-Identifier: Apache-2.0
"""What a site with a start-up kit goes by during a session, and what it writes down."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import CertificateError, SignatureError
from mmar_runner.security.identity import Role
from mmar_runner.wire.credentials import TlsFiles

if TYPE_CHECKING:
    from mmar_runner.errors import MmarRunnerError
    from mmar_runner.security.audit.line import Decision
    from mmar_runner.security.audit.log import AuditLog
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.security.pki.revocation import RevocationMemory
    from mmar_runner.security.policy.followed import FollowedPolicy

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClientTrust:
    """A site's identity, its memory of what was revoked, and its audit log.

    Attributes:
        kit: Who the site is and whom it trusts.
        revocations: The newest list that was ever seen here.
        audit: Gets a line for everything that was decided here; whoever opened it
            closes it.
        target: The server that is spoken to, ``host:port``; it need not be the kit's.
        policy: What the site blocks while a session lasts; None if it has no policy.
        combiner: The combiner that must answer there; empty where any server of the project may.
    """

    kit: StartupKit
    revocations: RevocationMemory
    audit: AuditLog
    target: str
    policy: FollowedPolicy | None = None
    combiner: str = ""

    def below(self, combiner: str, target: str) -> ClientTrust:
        """Return the trust of a session below the combiner that the site was assigned to."""
        return replace(self, target=target, combiner=combiner)

    @property
    def tls(self) -> TlsFiles:
        """Certificate, key and root for the connection."""
        return TlsFiles(self.kit.cert_file, self.kit.key_file, self.kit.root_file)

    @property
    def version(self) -> int:
        """The version of the newest list of revocations."""
        return self.revocations.current.version

    def offer(self, data: bytes, digest: str) -> None:
        """Take a list of revocations that a server handed on, if it counts. Blocks.

        A list that does not count changes nothing; that it was offered is written down.

        Args:
            data: The signed list.
            digest: The MMAR that this session works for.

        Raises:
            SignatureError: DIGEST_REVOKED, the new list revokes that MMAR.
            AuditError: An event cannot be written down.
            StorageError: The list cannot be kept.
        """
        try:
            if not self.revocations.offer(data):
                return
        except SignatureError as error:
            _log.warning("a list of revocations was not taken: %s", error.message)
            self.record("Revocations", "refused", error.reason, message=error.message)
            return
        self.record("Revocations", "accepted", version=self.version)
        if self.revocations.current.revokes_digest(digest):
            msg = f"the MMAR with the digest {digest} was revoked by the project's authority"
            raise SignatureError(msg, reason="DIGEST_REVOKED")

    def require_unblocked(self, digest: str) -> None:
        """Refuse an MMAR that the site has meanwhile blocked. Blocks.

        Raises:
            NotAuthorizedError: DIGEST_BLOCKED.
        """
        if self.policy is not None:
            self.policy.require_unblocked(digest)

    def judge_server(self, certificate: bytes) -> None:
        """Refuse a server that has no certificate of the project's server, or a revoked one.

        Args:
            certificate: What the server showed, PEM; the authority issued it.

        Raises:
            CertificateError: CERT_REVOKED, ROLE, CERT_PROJECT or CERT_INVALID.
        """
        judge_server(certificate, self.kit, self.revocations, self.target, combiner=self.combiner)

    def refused(self, error: MmarRunnerError) -> None:
        """Write down that a session ends because one side refuses the other.

        Raises:
            AuditError: It, or something before it, cannot be written.
        """
        self.record("Session", "refused", error.reason, message=error.message)

    def record(self, action: str, decision: Decision, reason: str = "", **facts: Any) -> None:
        """Write down what this site did or was told.

        Raises:
            AuditError: It, or something before it, cannot be written.
        """
        identity = self.kit.identity
        who = f"{identity.role} {identity.name}"
        self.audit.record(
            action, who=who, peer=self.target, decision=decision, reason=reason, **facts
        )


def judge_server(
    certificate: bytes,
    kit: StartupKit,
    revocations: RevocationMemory,
    target: str,
    *,
    combiner: str = "",
) -> None:
    """Refuse a server that has no certificate of the project's server, or a revoked one.

    A combiner answers as a server does; TLS has seen that it is the one that was called.

    Args:
        certificate: What the server showed, PEM; the authority issued it.
        kit: Whoever asks.
        revocations: What is revoked.
        target: Where the server is, for the sentence.
        combiner: The combiner that it must be; empty if it may be any server.

    Raises:
        CertificateError: CERT_REVOKED, ROLE, CERT_PROJECT or CERT_INVALID.
    """
    # Imported late: it needs cryptography, and whoever speaks plain text does not.
    from mmar_runner.security.pki.certificates import read_peer_certificate  # noqa: PLC0415

    shown = read_peer_certificate(certificate)
    who = f"{target} shows the certificate of the {shown.identity.role} "
    who += shown.identity.name
    if shown.identity.project != kit.identity.project:
        msg = f"{who}, of the project {shown.identity.project!r}"
        raise CertificateError(msg, reason="CERT_PROJECT", hint="is it the right server?")
    if shown.identity.role not in {Role.SERVER, Role.COMBINER}:
        msg = f"{who}, which is no server"
        raise CertificateError(msg, reason="ROLE", hint="is it the right server?")
    if combiner and (shown.identity.role, shown.identity.name) != (Role.COMBINER, combiner):
        msg = f"{who}, and not that of the combiner {combiner}, to which this site is assigned"
        raise CertificateError(msg, reason="ROLE", hint="has its address another owner now?")
    if revocations.current.revokes_certificate(shown.serial):
        msg = f"{who}, which was revoked (serial {shown.serial})"
        hint = (
            "somebody may have stolen the server's key: ask the project's office; the "
            "server needs its new kit (`provision renew PROJECT.yml NAME --new-key`)"
        )
        raise CertificateError(msg, reason="CERT_REVOKED", hint=hint)
