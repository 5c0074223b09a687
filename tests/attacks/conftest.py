# SPDX-License-Identifier: Apache-2.0
"""A real server that is attacked while its run waits, and must then finish unharmed.

Every arena ends with its positive control: two honest clients join, finish the run, and
the models must be those of a run that nobody attacked. Memory, descriptors, logs and
journal are looked at too.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import RefusedError, UnreachableError
from mmar_runner.testing.processes import RunningClient, RunningServer
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.messages import (
    GetModelRequest,
    HeartbeatRequest,
    ModelHeader,
    QuitRequest,
    RegisterRequest,
    UpdateBegin,
    UpdateCommit,
    UpdateCredit,
    UpdateReady,
    UpdateReceipt,
)
from mmar_runner.wire.stub import FederationStub

ECHO = Path(__file__).parents[2] / "mmars" / "echo"
GROWTH_BYTES = 64 << 20
CHUNK = 1 << 20


class Attacker:
    """A registered client that speaks the protocol by hand."""

    def __init__(self, arena: Arena, channel: Any, stub: FederationStub, name: str) -> None:
        self.arena = arena
        self.channel = channel
        self.stub = stub
        self.name = name
        self.key = secrets.token_bytes(32)
        self.token = ""
        self.header = ModelHeader()
        self.model = b""

    async def register(self, **changes: Any) -> Any:
        facts = {"client_name": self.name, "session_key": self.key, "task_name": "echo"}
        return await self.stub.register(RegisterRequest(**{**facts, **changes}), timeout=10)

    async def heartbeat(self, token: str | None = None) -> Any:
        request = HeartbeatRequest(token=self.token if token is None else token)
        return await self.stub.heartbeat(request, timeout=10)

    async def download(self, **changes: Any) -> tuple[ModelHeader, bytes]:
        """Return the header and the bytes that follow it."""
        call = self.stub.get_model(
            GetModelRequest(**{"token": self.token, "after_round": -1, **changes})
        )
        header, data = None, bytearray()
        async for item in call:
            if header is None:
                header = item
                data += header.inline
            else:
                data += item
            if len(data) + header.offset >= header.total_bytes:
                break
        call.cancel()
        assert header is not None
        return header, bytes(data)

    def begin(self, data: bytes, **changes: Any) -> UpdateBegin:
        facts = {
            "token": self.token,
            "run_number": self.arena.run_number,
            "round": self.header.round,
            "base_sha256": self.header.sha256,
            "total_bytes": len(data),
            "update_id": secrets.token_hex(8),
            "num_samples": 1.0,
            "kind": "weights",
        }
        return UpdateBegin(**{**facts, **changes})

    async def submit(
        self, data: bytes, *, sha: str | None = None, chunk: int = CHUNK, **changes: Any
    ) -> UpdateReceipt:
        """Submit bytes in chunks, as a session does, and return the receipt."""
        begin = self.begin(data, **changes)
        for _ in range(5):
            try:
                return await self._submit(begin, data, sha, chunk)
            except UnreachableError:
                continue  # the refusal was lost to a write under way: it is told again
        return await self._submit(begin, data, sha, chunk)

    async def _submit(
        self, begin: UpdateBegin, data: bytes, sha: str | None, chunk: int
    ) -> UpdateReceipt:
        call = self.stub.submit_update()
        await call.write(begin)
        reply = await call.read()
        if isinstance(reply, UpdateReceipt):
            return reply
        assert isinstance(reply, UpdateReady)
        position, credits_ = reply.offset, reply.credits
        while position < len(data):
            while not credits_:
                more = await call.read()
                assert isinstance(more, UpdateCredit)
                credits_ += more.credits
            try:
                await call.write(data[position : position + chunk])
            except UnreachableError:
                await call.read()  # what the server had to say
                raise
            position += chunk
            credits_ -= 1
        await call.write(UpdateCommit(sha256=sha or sha256(data).hexdigest()))
        while not isinstance(reply := await call.read(), UpdateReceipt):
            assert isinstance(reply, UpdateCredit)
        call.cancel()
        return reply

    async def submit_inline(
        self, data: bytes, *, sha: str | None = None, **changes: Any
    ) -> UpdateReceipt:
        call = self.stub.submit_update()
        digest = sha or sha256(data).hexdigest()
        await call.write(self.begin(data, **{"inline": data, "sha256": digest, **changes}))
        receipt = await call.read()
        call.cancel()
        assert isinstance(receipt, UpdateReceipt)
        return receipt


class Arena:
    """A server whose first round is open, and waits for clients that behave."""

    def __init__(self, server: RunningServer, variables: dict[str, Any]) -> None:
        self.server = server
        self.variables = variables
        self.address = server.address()
        self.run_number = 1
        self.secrets: set[str] = set()
        self._serial = 0
        self.measure()

    def measure(self) -> None:
        """Take what the server uses now as what it needs."""
        self.rss = self._rss()
        self.descriptors = self._descriptors()

    def attack(self, play: Callable[[Attacker], Awaitable[Any]]) -> Any:
        """Let a fresh registered attacker play, which then leaves."""
        return asyncio.run(asyncio.wait_for(self._attack(play), 40))

    def refusal(self, play: Callable[[Attacker], Awaitable[Any]]) -> str:
        """Return the reason for which the play was refused, with nothing counted."""
        before = self.accepted()
        with pytest.raises(RefusedError) as refused:
            self.attack(play)
        assert self.accepted() == before
        return refused.value.reason

    async def _attack(self, play: Callable[[Attacker], Awaitable[Any]]) -> Any:
        channel = open_channel(self.address)
        stub = FederationStub(channel)
        try:
            async with self.joined(channel, stub), self.joined(channel, stub) as attacker:
                attacker.header, attacker.model = await attacker.download()
                return await play(attacker)
        finally:
            await channel.close()

    def joined(self, channel: Any, stub: FederationStub) -> _Joined:
        self._serial += 1
        return _Joined(Attacker(self, channel, stub, f"evil-{self._serial}"))

    def events(self, kind: str) -> list[dict[str, Any]]:
        text = (self.server.workspace / "run_1" / "events.jsonl").read_text()
        whole = text[: text.rfind("\n") + 1].splitlines()  # a line may be under way
        return [event["data"] for event in map(json.loads, whole) if event["kind"] == kind]

    def accepted(self) -> list[tuple[int, str]]:
        return [(e["round"], e["client"]) for e in self.events("update_accepted")]

    def finish(self, tmp_path: Path) -> None:
        """Check that the server is unharmed and lets honest clients finish."""
        assert self.server.process.poll() is None, self.server.stderr
        self._settled()
        assert self._rss() - self.rss < GROWTH_BYTES
        names = ("site-1", "site-2")
        clients = [
            RunningClient(ECHO, self.address, name, tmp_path / "c", variables=self.variables)
            for name in names
        ]
        with clients[0], clients[1]:
            assert self.server.wait() == 0, self.server.stderr
            assert [client.wait() for client in clients] == [0, 0]
        assert self.server.summary()["status"] == "finished"
        said = self.server.stdout + self.server.stderr
        assert "Traceback" not in said, said[-4000:]
        assert "traceback" not in said, said[-4000:]
        kept = b"".join(
            path.read_bytes()
            for path in self.server.workspace.rglob("*")
            if path.is_file() and path.suffix != ".safetensors"
        )
        for secret in self.secrets:
            assert secret not in said
            assert secret.encode() not in kept

    def hashes(self) -> list[str]:
        return [entry["model_sha256"] for entry in self.server.summary()["rounds"]]

    def _settled(self) -> None:
        deadline = time.monotonic() + 15
        while (now := self._descriptors()) > self.descriptors + 4:
            assert time.monotonic() < deadline, f"{now} descriptors: {self._open()}"
            time.sleep(0.2)

    def _rss(self) -> int:
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    def _descriptors(self) -> int:
        return len(self._open()) - self._held()

    def _held(self) -> int:
        """Count connections that this very process has not let go of."""
        port = f"{int(self.address.rpartition(':')[2]):04X}"
        tables = (Path("/proc/net/tcp").read_text(), Path("/proc/net/tcp6").read_text())
        rows = [row.split() for table in tables for row in table.splitlines()[1:]]
        return sum(row[1].endswith(f":{port}") and row[3] == "01" for row in rows)

    def _open(self) -> list[str]:
        entries = Path(f"/proc/{self.server.process.pid}/fd").iterdir()
        return sorted(str(entry.readlink()) for entry in entries)


class _Joined:
    def __init__(self, attacker: Attacker) -> None:
        self._attacker = attacker

    async def __aenter__(self) -> Attacker:
        reply = await self._attacker.register()
        self._attacker.token = reply.token
        self._attacker.arena.run_number = reply.run_number
        self._attacker.arena.secrets.add(reply.token)
        return self._attacker

    async def __aexit__(self, *_: object) -> None:
        try:
            request = QuitRequest(token=self._attacker.token)
            await self._attacker.stub.quit(request, timeout=10)
        except RefusedError as error:
            if error.reason != "TOKEN_INVALID":  # it may have left, or lost it, on purpose
                raise


def _arena(folder: Path, model_mb: float) -> Iterator[Arena]:
    variables = {"NUM_ROUNDS": 2, "MIN_NUM_CLIENTS": 2, "MODEL_MB": model_mb}
    options = ("--durability", "process")
    with RunningServer(ECHO, folder / "calm", *options, variables=variables) as server:
        calm = Arena(server, variables)
        calm.finish(folder / "calm-clients")
    with RunningServer(ECHO, folder / "ws", *options, variables=variables) as server:
        arena = Arena(server, variables)
        # What a server needs to take one update is not an attack's doing.
        arena.refusal(lambda a: a.submit(a.model, sha="0" * 64))
        arena.measure()
        yield arena
        arena.finish(folder / "clients")
    assert arena.hashes() == calm.hashes()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """An arena whose model of 5 MB travels in chunks."""
    yield from _arena(tmp_path_factory.mktemp("large"), 5)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """An arena whose model travels inside one message."""
    yield from _arena(tmp_path_factory.mktemp("small"), 0.01)


@pytest.fixture(scope="session")
def arena_class() -> type[Arena]:
    """For tests that end their arena themselves."""
    return Arena
