# SPDX-License-Identifier: Apache-2.0
"""The real service for administrators, over real TLS, whose commands do nothing.

Gate, sessions, signatures, memory, rights and audit log are the program's. What would be
carried out is only said, so that every command can be ordered at every place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmar_runner.admin.entrance.access import Access
from mmar_runner.admin.entrance.gate import AdminGate
from mmar_runner.admin.entrance.sessions import Sessions
from mmar_runner.admin.leaving import Leaving
from mmar_runner.admin.modules.offer import Offer
from mmar_runner.admin.servicer import AdminDesk
from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule
from mmar_runner.interfaces.admin_event import Text
from mmar_runner.orders.commands import BUILT_IN, TRANSFER
from mmar_runner.orders.memory import OrderMemory
from mmar_runner.security.audit.log import held_open
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.pki.followed import Revocations
from mmar_runner.wire.binding import bind
from mmar_runner.wire.credentials import TlsFiles, server_credentials
from mmar_runner.wire.server import build_admin_server

#: Whoever deploys an MMAR of this name is told of it without end, as a run's events come.
FOR_EVER = "for-ever"


class _Harmless(AdminCmdModule):
    """Offers every command and carries none out."""

    def get_commands(self):
        calls_of_their_own = {spec.name for spec in TRANSFER}
        return [spec for name, spec in BUILT_IN.items() if name not in calls_of_their_own]

    async def execute(self, call, operations):
        yield Text(f"would do {call.spec.name} at {call.targets}")
        while call.arguments.get("MMAR") == FOR_EVER:
            await asyncio.sleep(0.02)
            yield Text("still at it")


class _Present:
    """All that a desk asks about the federation itself: who is there."""

    def __init__(self, clients: Sequence[str]) -> None:
        self._clients = list(clients)

    def get_client_names(self) -> list[str]:
        return self._clients


@asynccontextmanager
async def harmless_desk(
    kit_folder: Path,
    workspace: Path,
    *,
    present: Sequence[str] = (),
    access: Any = Access,
    sessions: Sessions | None = None,
    memory: OrderMemory | None = None,
    gate_of: Any = AdminGate,
) -> AsyncIterator[str]:
    """Serve administrators for a block; yield where, by the name in the certificate.

    Args:
        kit_folder: The server's kit.
        workspace: Where the audit log is kept.
        present: Clients that are there.
        access: Makes what knows the rights.
        sessions: Those that are open; None makes them.
        memory: Of orders; None makes one.
        gate_of: Makes the gate.
    """
    kit = load_kit(kit_folder, Role.SERVER, now=datetime.now(UTC))
    with held_open(_folder(workspace) / "audit.jsonl") as audit:
        revocations = Revocations(kit.revocations, kit.revocation_memory())
        gate = gate_of(kit.identity.project, revocations, audit)
        desk = AdminDesk(
            kit,
            gate,
            access(kit),
            sessions or Sessions(),
            offer=Offer([_Harmless()]),
            operations=_Present(present),
            transfers=None,
            revocations=revocations,
            memory=memory or OrderMemory(),
            leaving=Leaving(),
            audit=audit,
        )
        server = build_admin_server(desk, gate, max_connections=64)
        tls = TlsFiles(kit.cert_file, kit.key_file, kit.root_file)
        address = bind(server, "127.0.0.1:0", credentials=server_credentials(tls))
        await server.start()
        try:
            yield f"localhost:{address.rpartition(':')[2]}"
        finally:
            await server.stop(0)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
