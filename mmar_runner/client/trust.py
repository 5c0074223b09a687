# SPDX-License-Identifier: Apache-2.0
"""What a site with a start-up kit goes by during a session, and what it writes down."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmar_runner.errors import SignatureError
from mmar_runner.wire.credentials import TlsFiles

if TYPE_CHECKING:
    from mmar_runner.security.audit.line import Decision
    from mmar_runner.security.audit.log import AuditLog
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.security.pki.revocation import RevocationMemory

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
    """

    kit: StartupKit
    revocations: RevocationMemory
    audit: AuditLog
    target: str

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
