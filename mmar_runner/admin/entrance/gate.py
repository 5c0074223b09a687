# SPDX-License-Identifier: Apache-2.0
"""The gate of the administrators' port: who may call, and one line for every refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from mmar_runner.server.gate.certificate_gate import ROLE_OF_ADMIN_METHOD, CertificateGate

if TYPE_CHECKING:
    from mmar_runner.errors import MmarRunnerError
    from mmar_runner.security.audit.log import AuditLog
    from mmar_runner.security.pki.followed import Revocations
    from mmar_runner.wire.gate import Caller, Peer


class AdminGate(CertificateGate):
    """Lets administrators in, and nobody else.

    Args:
        project: The project that certificates must name.
        revocations: What the project has revoked.
        audit: Gets a line for every refusal.
    """

    def __init__(self, project: str, revocations: Revocations, audit: AuditLog) -> None:
        super().__init__(project, revocations, audit, roles=ROLE_OF_ADMIN_METHOD)
        self._log = audit
        self._noted: WeakSet[MmarRunnerError] = WeakSet()

    def note_refused(self, action: str, peer: Peer, error: MmarRunnerError, **facts: Any) -> None:
        """Write down that an order is refused, and not once more that its call was."""
        self._noted.add(error)
        self._log.record(
            action,
            who=peer.who,
            peer=peer.address,
            decision="refused",
            reason=error.reason,
            message=error.message,
            **facts,
        )

    def refused(self, method: str, caller: Caller, error: MmarRunnerError) -> None:
        """Write a refusal down, unless that was done."""
        if error not in self._noted:
            super().refused(method, caller, error)
