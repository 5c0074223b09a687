# SPDX-License-Identifier: Apache-2.0
"""A client with its kit, and a server that has an MMAR for it, may break off, and may lie."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.admission.rules import rules_of
from mmar_runner.client.delivery.fetching import Delivery, fetch_mmar
from mmar_runner.client.trust import ClientTrust
from mmar_runner.errors import MmarRunnerError
from mmar_runner.hooks import LoadedPlugins
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files
from mmar_runner.security.audit.log import AuditLog
from mmar_runner.security.audit.reading import read_audit
from mmar_runner.security.decision import Decision
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import StartupKit, load_kit
from mmar_runner.security.pki.followed import Revocations
from mmar_runner.server.calls.packages import Deployment, PackageDesk
from mmar_runner.server.calls.windows import download_window
from mmar_runner.server.gate.certificate_gate import CertificateGate
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.kits import Kits
from mmar_runner.testing.recorder import Recorder
from mmar_runner.wire.credentials import TlsFiles, server_credentials
from mmar_runner.wire.servicer import DiscoveryServicer
from tests.served import Nobody, served
from tests.signed_mmars import sign, signer_of

MIB = 1 << 20
LEAD = "lead@example.org"


def kit_of(folder: Path, role: Role) -> StartupKit:
    return load_kit(folder, role, now=datetime.now(UTC))


def signed(folder: Path, kits: Kits, *, mmar: MmarBuilder | None = None, **terms: Any) -> Path:
    """Write an MMAR and have the project's lead sign it."""
    big = ("models/start.safetensors", os.urandom(3 * MIB + 17))
    root = (mmar or MmarBuilder("job")).file(*big).write(folder)
    return sign(root, signer_of(kits.admin(LEAD)), **terms)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class Interrupted(DiscoveryServicer):
    """Passes on what another servicer says, but breaks off, or tells lies."""

    def __init__(self, honest: DiscoveryServicer) -> None:
        self.honest = honest
        self.offsets: list[int] = []
        self.declined: list[Any] = []
        self.change: Callable[[Any], Any] = lambda item: item
        self.limits: list[int] = []
        self.asked = asyncio.Event()

    async def get_package(self, request, peer):
        self.offsets.append(request.offset)
        self.asked.set()
        left = self.limits.pop(0) if self.limits else 1 << 62
        async for item in self.honest.get_package(request, peer):
            if left <= 0:
                return
            left -= 1
            yield self.change(item)

    async def decline(self, request, peer):
        self.declined.append(request)
        return await self.honest.decline(request, peer)


class Site:
    """A client with its kit, and the server it talks to."""

    def __init__(self, tmp_path: Path, kit: StartupKit, server: Interrupted, target: str) -> None:
        self.workspace = tmp_path / "ws"
        self.kit = kit
        self.server = server
        self.target = target
        self.recorder = Recorder()
        self.seen = Recorder()
        self.stop = asyncio.Event()

    async def fetch(self, plugins: LoadedPlugins, **options: Any) -> Any:
        with AuditLog(self.workspace / "audit.jsonl") as audit:
            trust = ClientTrust(self.kit, self.kit.revocation_memory(), audit, self.target)
            name = self.kit.identity.name
            rules = rules_of(self.kit)
            delivery = Delivery(trust, rules, self.workspace, name, **options)
            return await fetch_mmar(delivery, plugins.registry, self.recorder, self.stop)

    async def refusal(self, plugins: LoadedPlugins) -> str:
        """Return why nothing was fetched, after a look that nothing is left of it."""
        with pytest.raises(MmarRunnerError) as caught:
            await self.fetch(plugins)
        assert [p for p in (self.workspace / "store").glob("[!.]*") if p.is_dir()] == []
        assert list((self.workspace / "packages").iterdir()) == []
        return caught.value.reason

    def audited(self) -> list[tuple[str, str, str]]:
        lines = read_audit(self.workspace / "audit.jsonl")
        return [(line["action"], line["decision"], line["reason"]) for line in lines]


@asynccontextmanager
async def deployed(
    root: Path, kits: Kits, site: StartupKit, tmp_path: Path, **decisions: Decision
) -> AsyncIterator[Site]:
    kit = kit_of(kits.server, Role.SERVER)
    digest = list_files(open_folder(root, Findings())).digest
    accepted = {"site-1": Decision("deploy", "site-1", (LEAD,), digest, ())}
    deployment = Deployment(root, digest, tmp_path / "mmar.zip", accepted | decisions)
    tls = TlsFiles(kit.cert_file, kit.key_file, kit.root_file)
    with AuditLog(tmp_path / "server" / "audit.jsonl") as audit:
        seen = Recorder()
        desk = PackageDesk(deployment, seen, audit, window=download_window())
        revocations = Revocations(kit.revocations, kit.revocation_memory())
        gate = CertificateGate(kit.identity.project, revocations, audit)
        servicer = Interrupted(desk)
        known = server_credentials(tls)
        try:
            async with served(Nobody(), gate, discovery=servicer, credentials=known) as address:
                client = Site(tmp_path, site, servicer, f"localhost:{address.rpartition(':')[2]}")
                client.seen = seen
                yield client
        finally:
            await desk.close()
