# SPDX-License-Identifier: Apache-2.0
"""The floor: what gRPC itself costs on this machine, and nothing else.

A bare ``grpc.aio`` server and bare clients move the bytes of a federated round: in each
round every client downloads a model on one stream and uploads as many bytes on another,
in the same chunks, over the same channel options and as plain text, and the next round
opens when all uploads are there. Nothing is parsed, checked, hashed, summed, journaled
or trained. With ``--spool`` both sides also write what they receive to files, with ``--hash``
sender and receiver of an update and the receiver of a model hash it too, in a thread beside the
transfer, and with ``--tls`` both sides show certificates and everything is encrypted.

Run as a program it is one process of the floor; `measure` starts them all.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import grpc
import grpc.aio

from processes import Process, peak_rss_bytes, wait_for_file
from tls import client_credentials, server_credentials

CHUNK_BYTES: Final = 1 << 20
SERVICE: Final = "floor.Floor"
OPTIONS: Final = (
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.max_send_message_length", 4 << 20),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 4 << 20),
    ("grpc.enable_http_proxy", 0),
    ("grpc.so_reuseport", 0),
    # A thousand calls that begin at the same moment are meant, not an attack.
    ("grpc.server.max_pending_requests", 10_000),
    ("grpc.server.max_pending_requests_hard_limit", 30_000),
)
#: Each session has a connection of its own, also when many share a process.
CLIENT_OPTIONS: Final = (*OPTIONS, ("grpc.use_local_subchannel_pool", 1))


@dataclass(slots=True)
class FloorResult:
    """What one measurement of the floor gave.

    Attributes:
        round_seconds: Median seconds of a round after the first.
        rounds: Seconds of every round after the first.
        server_rss: Peak resident bytes of the server process.
        client_rss: Peak resident bytes of the largest client process.
    """

    round_seconds: float
    rounds: list[float]
    server_rss: int
    client_rss: int


@dataclass(slots=True)
class Barrier:
    """The rounds of the floor's server: a round opens when the last one is complete."""

    clients: int
    rounds: int
    round: int = -1
    arrived: int = 0
    opened_at: float = 0.0
    seconds: list[float] = field(default_factory=list)
    opened: asyncio.Condition = field(default_factory=asyncio.Condition)
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_for(self, number: int) -> bool:
        """Wait until that round is open; False if there is no such round."""
        if number >= self.rounds:
            return False
        async with self.opened:
            await self.opened.wait_for(lambda: self.round >= number)
        return True

    async def arrive(self) -> None:
        """Count one registration or one upload; open the next round at the last one."""
        self.arrived += 1
        if self.arrived < self.clients:
            return
        self.arrived = 0
        now = time.perf_counter()
        if self.round >= 0:
            self.seconds.append(now - self.opened_at)
        self.opened_at = now
        async with self.opened:
            self.round += 1
            self.opened.notify_all()
        if self.round >= self.rounds:
            self.finished.set()


def chunks_of(total: int) -> list[bytes]:
    """Return ``total`` bytes as chunks of 1 MiB; all but the last are one object in memory."""
    whole, rest = divmod(total, CHUNK_BYTES)
    block = os.urandom(min(total, CHUNK_BYTES))
    return [block] * whole + ([block[:rest]] if rest else [])


class FloorHandlers(grpc.GenericRpcHandler):
    """Join, Download and Upload, with bytes as messages.

    Args:
        barrier: The rounds.
        total: Bytes of the model, and of each update.
        spool: Where received bytes are written; None forgets them.
        hashed: Whether received bytes are hashed.
    """

    def __init__(
        self, barrier: Barrier, total: int, spool: Path | None, *, hashed: bool = False
    ) -> None:
        self._barrier = barrier
        self._chunks = chunks_of(total)
        self._spool = spool
        self._hashed = hashed
        self._uploads = 0
        self._handlers: dict[str, Any] = {
            f"/{SERVICE}/Join": grpc.unary_unary_rpc_method_handler(self._join),
            f"/{SERVICE}/Download": grpc.unary_stream_rpc_method_handler(self._download),
            f"/{SERVICE}/Upload": grpc.stream_stream_rpc_method_handler(self._upload),
        }

    def service(self, handler_call_details: Any) -> Any:
        """Return the handler of a method."""
        return self._handlers.get(handler_call_details.method)

    async def _join(self, _request: bytes, _context: Any) -> bytes:
        await self._barrier.arrive()
        return b"ok"

    async def _download(self, request: bytes, context: Any) -> None:
        """Send the models of the rounds that the request names, as each opens."""
        for number in range(*map(int, request.split())):
            if await self._barrier.wait_for(number):
                for chunk in self._chunks:
                    await context.write(chunk)

    async def _upload(self, requests: AsyncIterator[bytes], context: Any) -> None:
        """Receive updates one after the other; answer each."""
        self._uploads += 1
        name = f"upload-{self._uploads % self._barrier.clients}"
        while True:
            async with Sink(self._spool, name, hashed=self._hashed) as sink:
                for _ in self._chunks:
                    chunk = await anext(requests, None)
                    if chunk is None:
                        return
                    await sink.write(chunk)
            # Counted first: a client that has its answer may be gone at once.
            await self._barrier.arrive()
            await context.write(b"ok")


class Sink:
    """Takes bytes: forgets them, or writes them to a file, or hashes them, or both.

    Hashing is done in a thread, with the writing, while the next chunk is on its way.

    Args:
        folder: Where files are written; None writes nothing.
        name: The file's name.
        hashed: Whether the bytes are hashed.
    """

    def __init__(self, folder: Path | None, name: str, *, hashed: bool = False) -> None:
        self._fd = -1
        if folder is not None:
            self._fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._digest = hashlib.sha256() if hashed else None
        self._storing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._storing is not None:
            await self._storing
        if self._fd >= 0:
            os.close(self._fd)

    async def write(self, chunk: bytes) -> None:
        """Take one chunk."""
        if self._digest is None:
            self._store(chunk)
            return
        if self._storing is not None:
            await self._storing
        self._storing = asyncio.create_task(asyncio.to_thread(self._store, chunk))

    def _store(self, chunk: bytes) -> None:
        if self._fd >= 0:
            os.write(self._fd, chunk)
        if self._digest is not None:
            self._digest.update(chunk)


async def serve(arguments: argparse.Namespace) -> dict[str, Any]:
    """Serve all rounds and return their seconds."""
    barrier = Barrier(arguments.clients, arguments.rounds)
    server = grpc.aio.server(options=OPTIONS)
    handlers = FloorHandlers(barrier, arguments.bytes, arguments.spool, hashed=arguments.hash)
    server.add_generic_rpc_handlers((handlers,))
    if arguments.tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", server_credentials(arguments.tls))
    await server.start()
    endpoint = arguments.endpoint.with_suffix(".new")
    endpoint.write_text(str(port))
    endpoint.rename(arguments.endpoint)
    await barrier.finished.wait()
    await server.stop(5)
    return {"rounds": barrier.seconds[1:] or barrier.seconds, "peak_rss": peak_rss_bytes()}


def open_channel(target: str, tls: Path | None) -> grpc.aio.Channel:
    """Open a channel: plain text, or with the certificates of a folder."""
    if tls is None:
        return grpc.aio.insecure_channel(target, options=CLIENT_OPTIONS)
    return grpc.aio.secure_channel(target, client_credentials(tls), options=CLIENT_OPTIONS)


async def take_part(target: str, name: str, arguments: argparse.Namespace) -> None:
    """Join and do every round as one client."""
    chunks = chunks_of(arguments.bytes)
    rounds = arguments.rounds
    async with open_channel(target, arguments.tls) as channel:
        join: Any = channel.unary_unary(f"/{SERVICE}/Join")
        download: Any = channel.unary_stream(f"/{SERVICE}/Download")
        upload: Any = channel.stream_stream(f"/{SERVICE}/Upload")
        await join(b"", wait_for_ready=True)
        spans = [(0, rounds)] if arguments.held else [(k, k + 1) for k in range(rounds)]
        for first, end in spans:
            model = download(f"{first} {end}".encode())
            update = upload()
            for _ in range(first, end):
                async with Sink(arguments.spool, f"model-{name}", hashed=arguments.hash) as sink:
                    for _ in chunks:
                        await sink.write(await model.read())
                async with Sink(None, name, hashed=arguments.hash) as sent:
                    for chunk in chunks:
                        await sent.write(chunk)
                        await update.write(chunk)
                await update.read()
            await update.done_writing()


async def sessions(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run this process's clients, each with a connection of its own."""
    names = (f"{os.getpid()}-{index}" for index in range(arguments.sessions))
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(take_part(arguments.target, name, arguments))
    return {"peak_rss": peak_rss_bytes()}


def measure(
    *,
    clients: int,
    total: int,
    rounds: int,
    spool: bool = False,
    hashed: bool = False,
    held: bool = False,
    processes: int | None = None,
    tls: Path | None = None,
) -> FloorResult:
    """Measure the floor of one case.

    Args:
        clients: How many clients take part.
        total: Bytes of the model, and of each update.
        rounds: Rounds; the first is not counted.
        spool: Also write what is received to files, on both sides.
        hashed: Also hash models and updates, where the program must.
        held: One download and one upload stream for all rounds, not new ones in each.
        processes: How many processes hold the clients; None gives each its own.
        tls: The folder of the floor's certificates; None speaks plain text.
    """
    with tempfile.TemporaryDirectory(prefix="floor-") as folder:
        endpoint = Path(folder) / "port"
        shared = ["--bytes", str(total), "--rounds", str(rounds)]
        if spool:
            shared += ["--spool", folder]
        if hashed:
            shared.append("--hash")
        if held:
            shared.append("--held")
        if tls is not None:
            shared += ["--tls", str(tls)]
        running = [_start("server", "--clients", clients, "--endpoint", endpoint, *shared)]
        [server] = running
        try:
            port = wait_for_file(endpoint, server)
            count = clients if processes is None else processes
            for index in range(count):
                share = clients // count + (index < clients % count)
                target = ("--target", f"127.0.0.1:{port}", "--sessions", share)
                running.append(_start("clients", *target, *shared))
            answers = [json.loads(other.wait(timeout=600)) for other in running[1:]]
            served = json.loads(server.wait(timeout=60))
        finally:
            for process in running:
                if process.alive:
                    process.kill()
    return FloorResult(
        statistics.median(served["rounds"]),
        served["rounds"],
        served["peak_rss"],
        max(answer["peak_rss"] for answer in answers),
    )


def _start(*arguments: object) -> Process:
    return Process([sys.executable, __file__, *map(str, arguments)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["server", "clients"])
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--bytes", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--endpoint", type=Path)
    parser.add_argument("--target")
    parser.add_argument("--spool", type=Path)
    parser.add_argument("--hash", action="store_true")
    parser.add_argument("--held", action="store_true")
    parser.add_argument("--tls", type=Path)
    return parser


def main() -> None:
    """Be one process of the floor."""
    arguments = _parser().parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    role = serve if arguments.role == "server" else sessions
    print(json.dumps(asyncio.run(role(arguments))))


if __name__ == "__main__":
    main()
