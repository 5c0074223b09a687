# SPDX-License-Identifier: Apache-2.0
"""What the checks across files look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mmar_runner.mmar.components.build import Parts

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.code.byoc import ByocModules
    from mmar_runner.mmar.components.resolving import Resolver
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings
    from mmar_runner.mmar.folder import MmarFolder
    from mmar_runner.mmar.sources.configuration import Side, Sources

TASK: JsonPath = ("servers", 0)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is asked for in place of what the server file says, where that is not None.

    Attributes:
        rounds: How many rounds there are to be.
        clients_per_round: How many clients are drawn for each.
        combiners: Whether it is to work in a tree of combiners.
        clients: How many clients may take part, if the file says fewer.
    """

    rounds: int | None = None
    clients_per_round: int | None = None
    combiners: bool = False
    clients: int | None = None


@dataclass(slots=True)
class Look:
    """One MMAR as far as it is known, and where findings go.

    Attributes:
        folder: The folder.
        files: The configuration files in canonical form.
        byoc: The code it brings.
        resolver: Resolves further components.
        side: Which side's components must be there.
        findings: Gets what is found.
        server_parts: Components of the server file; empty on the client's side.
        client_parts: Components of the client file; empty on the server's side.
        asked: What the run is asked for in place of what the server file says.
    """

    folder: MmarFolder
    files: Sources
    byoc: ByocModules
    resolver: Resolver
    side: Side
    findings: Findings
    server_parts: Parts = field(default_factory=Parts)
    client_parts: Parts = field(default_factory=Parts)
    asked: Asked = field(default_factory=Asked)

    @property
    def server(self) -> Document | None:
        """The server file, if this side is asked for."""
        return self.files.server if self.side != "client" else None

    @property
    def client(self) -> Document | None:
        """The client file, if this side is asked for."""
        return self.files.client if self.side != "server" else None

    def both(self) -> tuple[Document, Document] | None:
        """Return server and client file, if both are there and asked for."""
        server, client = self.server, self.client
        return (server, client) if server is not None and client is not None else None


def first_present(document: Document, *paths: JsonPath) -> JsonPath:
    """Return the first of the paths that the document has, or the root."""
    missing = object()
    return next((p for p in paths if document.get(p, missing) is not missing), ())


def whole(value: Any) -> int | None:
    """Return a whole number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value == int(value) else None


def number(value: Any) -> float | None:
    """Return a number, or None for anything else."""
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
