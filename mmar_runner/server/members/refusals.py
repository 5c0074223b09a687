# SPDX-License-Identifier: Apache-2.0
"""Writes down refusals that come when no call is there any more to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.security.identity import Role

if TYPE_CHECKING:
    from mmar_runner.federation.sites import Sites
    from mmar_runner.security.audit.log import AuditLog
    from mmar_runner.server.members.registry import ClientRegistry


@dataclass(frozen=True, slots=True)
class LateRefusals:
    """Knows of whom a refused update was.

    Attributes:
        audit: Gets a line for each.
        registry: Knows from where a client came.
        sites: Of which site it is.
    """

    audit: AuditLog
    registry: ClientRegistry
    sites: Sites

    def record_refusal(self, client: str, reason: str, message: str) -> None:
        """Write down that an update that had been accepted is refused after all.

        Raises:
            AuditError: It cannot be written.
        """
        known = self.registry.known(client)
        certified = known is not None and known.fingerprint
        self.audit.record(
            "SubmitUpdate",
            who=f"{Role.CLIENT} {self.sites.of(client)}" if certified else "",
            peer="" if known is None else known.host,
            decision="refused",
            reason=reason,
            client=client,
            message=message,
        )
