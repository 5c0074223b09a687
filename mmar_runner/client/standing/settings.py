# SPDX-License-Identifier: Apache-2.0
"""What a standing client is started with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmar_runner.admission.admitting import Admission
    from mmar_runner.admission.rules import SiteRules
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.client.trust import ClientTrust


@dataclass(frozen=True, slots=True)
class StandingSettings:
    """Everything that the command line decides about a standing client.

    Attributes:
        name: The client's name in the federation.
        trust: Its site's identity, memory and audit log; and the server's address.
        workspace: The folder that belongs to this client alone.
        session: Makes the settings of a session that works for what was admitted.
        variables: The ``--set`` values.
        connect_timeout: Seconds to try to reach the server; None tries for ever.
    """

    name: str
    trust: ClientTrust
    workspace: Path
    session: Callable[[tuple[Admission, SiteRules]], SessionSettings]
    variables: Mapping[str, Any] = field(default_factory=dict)
    connect_timeout: float | None = None

    @property
    def site(self) -> str:
        """What the project's authorization calls this site."""
        return self.trust.kit.identity.name
