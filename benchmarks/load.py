# SPDX-License-Identifier: Apache-2.0
"""A load generator: many registered sessions in one process that answer at once.

Each session has a connection of its own and does what a client does on the wire: it
registers, keeps its lease, fetches each round's model and submits an update, which is
the model it got. It neither trains nor writes files. With ``--kits`` each shows the certificate of
its own start-up kit. With ``--noise`` an update differs from the model and from every other
session's, and each session has samples of its own: what comes of it says whether all were added up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import resource
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mmar_runner.errors import RefusedError, WireError
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.messages import (
    GetModelRequest,
    HeartbeatRequest,
    ModelHeader,
    RegisterReply,
    RegisterRequest,
    UpdateBegin,
    UpdateCommit,
    UpdateReady,
    UpdateReceipt,
)
from mmar_runner.wire.packing import Packed
from mmar_runner.wire.stub import FederationStub
from processes import peak_rss_bytes
from tls import client_credentials

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mmar_runner.wire.codec import ModelItem
    from mmar_runner.wire.stub import UpdateCall

#: Registrations under way at once; the rest wait, as clients that start one by one do.
_AT_ONCE: Final = 64
_CHUNK: Final = 1 << 20


class Session:
    """One client of the load.

    Args:
        stub: Its connection.
        name: Its name.
        noise: How far an update's values are from the model's, as a standard deviation.
    """

    def __init__(self, stub: FederationStub, name: str, noise: float = 0) -> None:
        self._stub = stub
        self._name = name
        self._noise = noise
        self._samples = 1 + zlib.crc32(name.encode()) % 100 if noise else 1
        self._registered = RegisterReply()
        self.rounds = 0

    async def register(self) -> None:
        """Join the run."""
        self._registered = await self._stub.register(
            RegisterRequest(
                client_name=self._name,
                session_key=os.urandom(32),
                task_name="echo",
                runner_version="benchmark",
            ),
            timeout=120,
        )

    async def work(self) -> None:
        """Do rounds until the run is over."""
        lease = asyncio.create_task(self._keep_lease())
        models = self._stub.get_model(GetModelRequest(token=self._registered.token, after_round=-1))
        updates = self._stub.submit_update()
        try:
            items = aiter(models)
            while (task := await _next_model(items)) is not None:
                await self._submit(updates, *task)
                self.rounds += 1
        finally:
            lease.cancel()
            models.cancel()
            updates.cancel()

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(self._registered.lease_seconds / 3)
            with contextlib.suppress(WireError):
                await self._stub.heartbeat(
                    HeartbeatRequest(token=self._registered.token), timeout=30
                )

    async def _submit(self, call: UpdateCall, header: ModelHeader, data: bytes) -> None:
        if self._noise:
            data = self._trained(data, header.round)
        begin = UpdateBegin(
            token=self._registered.token,
            run_number=self._registered.run_number,
            round=header.round,
            base_sha256=header.sha256,
            total_bytes=len(data),
            update_id=f"{self._name}-{header.round}",
            num_samples=self._samples,
            kind="weights",
            seconds_train=0.0,
        )
        digest = hashlib.sha256(data).hexdigest()
        if len(data) <= self._registered.inline_bytes:
            begin.inline, begin.sha256 = data, digest
        await call.write(begin)
        while (reply := await call.read()) is not None:
            match reply:
                case UpdateReceipt():
                    return
                case UpdateReady():
                    for start in range(reply.offset, len(data), _CHUNK):
                        await call.write(data[start : start + _CHUNK])
                    await call.write(UpdateCommit(sha256=digest))

    def _trained(self, model: bytes, number: int) -> bytes:
        """Return a model of float32 tensors with noise, the same for a name and a round."""
        begin = 8 + int.from_bytes(model[:8], "little")
        values = np.frombuffer(model, "<f4", offset=begin)
        draw = np.random.default_rng([zlib.crc32(self._name.encode()), number])
        moved = values + self._noise * draw.standard_normal(len(values), dtype=np.float32)
        trained: bytes = moved.astype("<f4").tobytes()
        return model[:begin] + trained


async def _next_model(items: AsyncIterator[ModelItem]) -> tuple[ModelHeader, bytes] | None:
    """Return the next round's header and model, or None once the run is over."""
    header = await anext(items, None)
    if not isinstance(header, ModelHeader) or header.HasField("end"):
        return None
    data = bytearray(header.inline)
    while len(data) < header.total_bytes:
        chunk = await anext(items)
        if isinstance(chunk, (ModelHeader, Packed)):  # it has not agreed to anything compressed
            raise TypeError("no bytes in the middle of a model")
        data += chunk
    return header, bytes(data)


async def generate(
    target: str, first: int, count: int, kits: Path | None, noise: float = 0
) -> dict[str, float]:
    """Run `count` sessions until the run is over."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int) -> int:
        name = f"site-{number}"
        credentials = None if kits is None else client_credentials(kits / name)
        channel = open_channel(target, credentials=credentials)
        async with channel:
            session = Session(FederationStub(channel, target), name, noise)
            async with gate:
                await session.register()
            with contextlib.suppress(RefusedError):  # the run may end while we ask
                await session.work()
            return session.rounds

    rounds = await asyncio.gather(*(one(first + k) for k in range(count)))
    return {"sessions": count, "updates": sum(rounds), "peak_rss": peak_rss_bytes()}


def main() -> None:
    """Generate load until the run ends; print what was done as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--kits", type=Path, help="the folder of the clients' start-up kits")
    parser.add_argument("--noise", type=float, default=0, help="by which updates differ")
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    numbers = (arguments.first, arguments.sessions)
    done = generate(arguments.target, *numbers, arguments.kits, arguments.noise)
    print(json.dumps(asyncio.run(done)))


if __name__ == "__main__":
    main()
