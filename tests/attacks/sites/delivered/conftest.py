# SPDX-License-Identifier: Apache-2.0
"""A compromised server: it holds the server's stolen kit and speaks the protocol by hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from safetensors.numpy import save

from mmar_runner.security.packages.packing import pack
from mmar_runner.wire.binding import bind
from mmar_runner.wire.credentials import TlsFiles, server_credentials
from mmar_runner.wire.messages import (
    DeclineReply,
    HeartbeatReply,
    ModelHeader,
    PackageHeader,
    QuitReply,
    RegisterReply,
    ResultReply,
    RunEnd,
    TaskFailure,
    UpdateBegin,
    UpdateReceipt,
)
from mmar_runner.wire.server import build_server
from mmar_runner.wire.servicer import DiscoveryServicer, FederationServicer
from tests.open_gate import OpenGate

CHUNK = 1 << 20
MODEL = save({"layer/weight": np.zeros(64, np.float32), "layer/secret": np.ones(64, np.float32)})


class Lies:
    """What a compromised server says, and what it hears."""

    def __init__(self) -> None:
        self.package = b""
        self.header: dict[str, Any] = {}
        self.lists: list[bytes] = []
        self.rounds = 1
        self.model: dict[str, Any] = {}
        self.registration: dict[str, Any] = {}
        self.declined: list[Any] = []
        self.updates: list[UpdateBegin] = []
        self.failures: list[TaskFailure] = []
        self.heartbeats = 0
        self.offered = 0

    @property
    def done(self) -> int:
        """How many rounds the client has answered."""
        return len(self.updates) + len(self.failures)

    def deploy(self, root: Path, digest: str, **header: Any) -> None:
        """Deploy a folder as its package."""
        made = pack(root, root.parent / f"{root.name}.zip")
        facts = {"name": root.name, "digest": digest, **header}
        self.deploy_bytes(made.path.read_bytes(), **facts)
        made.path.unlink()

    def deploy_bytes(self, data: bytes, **header: Any) -> None:
        """Deploy any bytes under any header."""
        self.package = data
        facts = {"name": "echo", "digest": "0" * 64, "total_bytes": len(data)}
        self.header = {**facts, "sha256": sha256(data).hexdigest(), **header}


class _Services(FederationServicer, DiscoveryServicer):
    """Answers as `Lies` says; the federation it plays is a working one."""

    def __init__(self, lies: Lies) -> None:
        self.lies = lies
        self._changed = asyncio.Condition()
        self._done_before = 0

    async def get_package(self, request, peer):
        yield PackageHeader(**self.lies.header)
        for start in range(0, len(self.lies.package), CHUNK):
            yield self.lies.package[start : start + CHUNK]

    async def decline(self, request, peer):
        self.lies.declined.append(request)
        return DeclineReply()

    async def register(self, request, peer):
        self._done_before = self.lies.done
        facts = {"token": "t", "run_number": 1, "num_rounds": self.lies.rounds}
        facts |= {"lease_seconds": 1.0, "inline_bytes": 1 << 20, "token_seconds": 60.0}
        return RegisterReply(**{**facts, **self.lies.registration})

    async def quit(self, request, peer):
        return QuitReply()

    async def heartbeat(self, request, peer):
        self.lies.heartbeats += 1
        offered = b""
        if self.lies.offered < len(self.lies.lists):
            offered = self.lies.lists[self.lies.offered]
            self.lies.offered += 1
        await self._tell()
        return HeartbeatReply(lease_seconds=1.0, revocations=offered)

    async def get_model(self, request, peer):
        # Whoever asks anew is not given a round that it has answered already.
        for number in range(self.lies.done - self._done_before, self.lies.rounds):
            await self._until(number)
            facts = {"round": number, "total_bytes": len(MODEL), "attempt": 1, "inline": MODEL}
            facts["sha256"] = sha256(MODEL).hexdigest()
            changes, self.lies.model = self.lies.model, {}  # it lies once
            yield ModelHeader(**{**facts, **changes})
        await self._until(self.lies.rounds)
        yield ModelHeader(end=RunEnd(status="finished"))

    async def _until(self, done: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.lies.done >= done and not self._silent())

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _silent(self) -> bool:
        """Whether lists are still to be offered: no work before they have been."""
        return self.lies.heartbeats < len(self.lies.lists) + bool(self.lies.lists)

    async def submit_update(self, stream, peer):
        while (item := await stream.read()) is not None:
            if isinstance(item, UpdateBegin):
                self.lies.updates.append(item)
            elif isinstance(item, TaskFailure):
                self.lies.failures.append(item)
            await stream.write(UpdateReceipt(round=item.round))
            await self._tell()

    async def send_result(self, request, peer):
        return ResultReply()


class CompromisedServer:
    """Serves `Lies` over TLS with the stolen kit, in a thread of its own."""

    def __init__(self, kit: Path) -> None:
        self.lies = Lies()
        self.address = ""
        self._tls = TlsFiles(kit / "server.crt", kit / "server.key", kit / "rootCA.pem")
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def _work(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        services = _Services(self.lies)
        server = build_server(services, OpenGate(), discovery=services)
        bound = bind(server, "127.0.0.1:0", credentials=server_credentials(self._tls))
        await server.start()
        self.address = f"localhost:{bound.rpartition(':')[2]}"
        self._ready.set()
        await self._stop.wait()
        await server.stop(0)


@pytest.fixture
def stolen(hospital) -> Iterator[CompromisedServer]:
    """Whoever stole the server's kit."""
    with CompromisedServer(hospital.server) as server:
        yield server


class Delivered:
    """A site without an MMAR, and the compromised server that would give it one."""

    def __init__(self, hospital, server: CompromisedServer) -> None:
        self.hospital = hospital
        self.server = server
        self.lies = server.lies

    def sent(self, root: Path, **header: Any) -> None:
        self.lies.deploy(root, self.hospital.digest(root), **header)

    def refused(self, *reasons: str, site: str = "site-1") -> Any:
        """Let a site fetch what is deployed; it refuses, and nothing of it stays."""
        hospital = self.hospital
        before, outside = hospital.memory(site), hospital.tree()
        lines, declined = len(hospital.decisions(site)), len(self.lies.declined)
        ended = hospital.run_client(site, None, self.server.address)
        assert ended.code == 1, (ended.out, ended.err)
        assert ended.error["reason"] in reasons, ended.out
        assert hospital.memory(site) == before
        assert hospital.tree() == outside
        assert not hospital.canary.exists()
        self.nothing_stays(site)
        assert hospital.decisions(site)[lines:] == [("refused", ended.error["reason"])]
        told = [request.reason for request in self.lies.declined]
        # Of a package without a sound header there is nothing that could be declined.
        assert set(told[declined:]) <= {ended.error["reason"]}
        return ended.error

    def nothing_stays(self, site: str) -> None:
        workspace = self.hospital.workspace(site)
        kept = {p.relative_to(workspace).as_posix() for p in workspace.rglob("*") if p.is_file()}
        assert {name for name in kept if not name.startswith("audit.")} <= {
            *("store/.lock", "session.key")  # the key is its own, from before it asked
        }

    def works(self, *, site: str = "site-1") -> None:
        """Let a site take the honest MMAR from the same server, and run it to the end."""
        updates = len(self.lies.updates)
        with self.hospital.client(site, self.server.address) as client:
            assert client.wait() == 0, client.stderr
        assert len(self.lies.updates) == updates + self.lies.rounds
        assert self.hospital.decisions(site)[-1] == ("accepted", "")


@pytest.fixture
def delivered(hospital, stolen) -> Delivered:
    return Delivered(hospital, stolen)
