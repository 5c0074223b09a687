# SPDX-License-Identifier: Apache-2.0
"""The gate of a server on loopback, and the record of everything refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.wire.gate import Gate, Peer

if TYPE_CHECKING:
    from mmar_runner.errors import MmarRunnerError
    from mmar_runner.security.audit.log import AuditLog
    from mmar_runner.wire.gate import Caller

#: Refusals that are no attack and no policy's: a run that ends, a server that stops, a health
#: check that asks for what is not there, every few seconds.
_ORDINARY: Final = frozenset({"RUN_OVER", "SERVER_STOPPING", "SERVICE_UNKNOWN"})


class AuditedGate(Gate):
    """Lets everybody in and writes down what is refused behind it: loopback only.

    Args:
        audit: Gets a line for every refusal.
    """

    def __init__(self, audit: AuditLog) -> None:
        super().__init__()
        self._audit = audit

    def admit(self, method: str, caller: Caller) -> Peer:  # noqa: ARG002 - all are equal
        """Let a caller in."""
        return Peer(caller.address)

    def refused(self, method: str, caller: Caller, error: MmarRunnerError) -> None:
        """Write a refusal down."""
        if error.reason not in _ORDINARY:
            self._audit.record(
                method,
                who=self.who_is(caller),
                peer=caller.address,
                decision="refused",
                reason=error.reason,
                message=error.message,
            )

    def who_is(self, caller: Caller) -> str:  # noqa: ARG002 - nobody is known without TLS
        """Return the identity for a record; empty if there is none."""
        return ""
