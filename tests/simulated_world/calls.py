# SPDX-License-Identifier: Apache-2.0
"""Calls as the client sees them: what the production stub does with gRPC's."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from tests.simulated_world.network import Connection

if TYPE_CHECKING:
    from tests.simulated_world.channel import SimulatedChannel

_numbers = itertools.count()
_Trailing = tuple[tuple[str, str | bytes], ...]


class ClientCall:
    """A call, as the client sees it."""

    def __init__(
        self, channel: SimulatedChannel, path: str, serialize: Any, deserialize: Any
    ) -> None:
        self.number = next(_numbers)
        self._channel, self._path = channel, path
        self._serialize, self._deserialize = serialize, deserialize
        self._inbox: deque[bytes] = deque()
        self._status: grpc.aio.AioRpcError | None = None
        self._over = self._cancelled = False
        self._changed: list[asyncio.Future[None]] = []
        self._sent_at = 0.0
        self._loop = channel.process.loop
        self.served: Any = None
        channel.calls.add(self)
        found = channel.connection()
        self._connection = found if isinstance(found, Connection) else None
        if self._connection is None:
            self._loop.call_later(found, self.end, grpc.StatusCode.UNAVAILABLE, "failed to connect")
            return
        self._connection.calls.add(self)
        self._begin()

    # What the stub does

    async def read(self) -> Any:
        """Return the next message, or EOF."""
        try:
            while not self._inbox and not self._over:
                await self._change()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if self._inbox:
            return self._deserialize(self._inbox.popleft())
        return self._outcome()

    async def write(self, item: Any) -> None:
        """Send a message."""
        if self._over:
            msg = "the call has ended"
            raise asyncio.InvalidStateError(msg)
        self.send(self._serialize(item))
        await asyncio.sleep(0)

    async def done_writing(self) -> None:
        """Say that no message follows."""
        if not self._over:
            self.send(None)

    def cancel(self) -> None:
        """Give the call up."""
        if not self._over:
            self._cancelled = True
            self._to_server("gone")
            self._finish()

    # What the network does

    def send(self, data: bytes | None) -> None:
        """Send bytes, or the end of them."""
        self._to_server("arrived", data)

    def arrived(self, data: bytes) -> None:
        """Take a message from the server."""
        if not self._over:
            self._inbox.append(data)
            self._notify()

    def end(self, code: grpc.StatusCode, details: str, trailing: _Trailing = ()) -> None:
        """See how the call ended; after a broken connection nothing that came is read."""
        if self._over:
            return
        if code is not grpc.StatusCode.OK:
            self._status = grpc.aio.AioRpcError(
                code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details
            )
            if not trailing:
                self._inbox.clear()
        self._finish()

    # Small helpers

    def _begin(self) -> None:
        connection = self._connection
        assert connection is not None
        self.served = connection.server.call(self._path, connection, self)
        self._to_server("begin")

    def _to_server(self, what: str, *args: Any) -> None:
        connection, served = self._connection, self.served
        if connection is None or not connection.client_open:
            return
        self._sent_at = connection.send(
            to_server=True,
            not_before=self._sent_at,
            arrive=lambda: getattr(served, what)(*args),
        )

    def _outcome(self) -> Any:
        if self._cancelled:
            raise asyncio.CancelledError
        if self._status is not None:
            raise self._status
        return grpc.aio.EOF

    def _finish(self) -> None:
        self._over = True
        self._channel.calls.discard(self)
        if self._connection is not None:
            self._connection.calls.discard(self)
        self._notify()

    async def _change(self) -> None:
        future = self._loop.create_future()
        self._changed.append(future)
        await future

    def _notify(self) -> None:
        changed, self._changed = self._changed, []
        for future in changed:
            if not future.done():
                future.set_result(None)


class UnaryCall(ClientCall):
    """A call of one message each way, which a network may carry out twice."""

    def __init__(
        self,
        channel: SimulatedChannel,
        path: str,
        request: bytes,
        deserialize: Any,
        timeout: float | None,
    ) -> None:
        super().__init__(channel, path, None, deserialize)
        self.send(request)
        world = channel.network.world
        if self._connection and world.stormy and world.chance(world.weather.duplication):
            self._sent_at = 0.0  # overtaken perhaps; the first reply to come counts
            self._begin()
            self.send(request)
        if timeout is not None:
            self._loop.call_later(timeout, self._too_late)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._reply().__await__()

    async def _reply(self) -> Any:
        reply = await self.read()
        if reply is grpc.aio.EOF:
            raise grpc.aio.AioRpcError(
                grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata(), "no reply"
            )
        self._finish()
        return reply

    def _too_late(self) -> None:
        if not self._over:
            self._to_server("gone")
            self.end(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
