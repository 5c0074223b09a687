# SPDX-License-Identifier: Apache-2.0
"""What a server with a start-up kit goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.security.decision import Decision
    from mmar_runner.wire.credentials import TlsFiles


@dataclass(frozen=True, slots=True)
class ServerTrust:
    """A server's identity and the rules it was given.

    Attributes:
        project: The project that certificates must name.
        tls: Certificate, key and root; read again when they change on disk.
        root_pem: The project's root certificate.
        revocations: The signed list; read again when it changes on disk.
        decisions: What the policy says of the MMAR at every client's site.
    """

    project: str
    tls: TlsFiles
    root_pem: bytes
    revocations: Path
    decisions: Mapping[str, Decision]

    @property
    def admitted_sites(self) -> list[str]:
        """The sites that may run the MMAR, sorted."""
        return sorted(site for site, decision in self.decisions.items() if decision.accepted)
