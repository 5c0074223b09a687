# SPDX-License-Identifier: Apache-2.0
"""What a server with a start-up kit goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmar_runner.federation.sites import Sites

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.security.decision import Decision
    from mmar_runner.security.kits.kit import StartupKit


@dataclass(frozen=True, slots=True)
class ServerTrust:
    """A server's identity and the decisions it was given.

    Attributes:
        kit: Who the server is and whom it trusts; certificates and revocations are read
            again when they change on disk.
        decisions: What the policy says of the MMAR at every client's site.
        allowed_path_prefixes: Class paths that the server's own policy allows.
    """

    kit: StartupKit
    decisions: Mapping[str, Decision]
    allowed_path_prefixes: tuple[str, ...] = ()

    @property
    def admitted_sites(self) -> list[str]:
        """The sites that may run the MMAR, sorted."""
        return sorted(site for site, decision in self.decisions.items() if decision.accepted)

    @property
    def sites(self) -> Sites:
        """The sites of the project, and those that may run the MMAR."""
        return Sites(frozenset(self.decisions), frozenset(self.admitted_sites))
