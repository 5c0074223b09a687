# SPDX-License-Identifier: Apache-2.0
"""What the command line says of a client, whoever it turns out to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmar_runner.cli.starting.outside import workspace_of

if TYPE_CHECKING:
    from mmar_runner.hooks import LoadedPlugins


@dataclass(frozen=True, slots=True)
class ClientSite:
    """What ``run-client`` was given.

    Attributes:
        mmar: The MMAR's folder; None to take the one that the server deployed.
        plugins: The plugins in force.
        variables: The ``--set`` values.
        named_workspace: What ``--workspace`` said, or None.
    """

    mmar: Path | None
    plugins: LoadedPlugins
    variables: Mapping[str, Any]
    named_workspace: Path | None

    def workspace(self, job: str, client: str) -> Path:
        """Return the folder that belongs to one client alone.

        Args:
            job: Names the default: the MMAR, or the project if it is not known yet.
            client: The client's name in the federation.

        Raises:
            UsageError: It lies inside the MMAR.
        """
        return workspace_of(self.named_workspace, job, self.mmar) / client
