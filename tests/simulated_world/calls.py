# SPDX-License-Identifier: Apache-2.0
"""The client's end of the network: a channel as gRPC's, for the production stub."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from tests.simulated_world.network import Connection, Network

if TYPE_CHECKING:
    pass

#: How long gRPC waits between two attempts to connect, in seconds.
_RECONNECT = (0.2, 2.4)
_numbers = itertools.count()
_Trailing = tuple[tuple[str, str | bytes], ...]


class SimulatedChannel:
    """Stands in for the channel that `mmar_runner.wire.channel.open_channel` returns.

    It makes calls over one connection at a time, and tries to have one if it is asked to.
    """

    def __init__(self, network: Network) -> None:
        process = network.world.current
        assert process is not None
        self.network, self.process = network, process
        self.calls: set[ClientCall] = set()
        self._connection: Connection | None = None
        self._changed: list[asyncio.Future[None]] = []
        self._trying = self._closed = False

    def unary_unary(
        self, path: str, *, request_serializer: Any, response_deserializer: Any
    ) -> Callable[..., UnaryCall]:
        """Return what makes calls of one message each way."""

        def make(request: Any, *, timeout: float | None = None) -> UnaryCall:
            return UnaryCall(
                self, path, request_serializer(request), response_deserializer, timeout
            )

        return make

    def unary_stream(
        self, path: str, *, request_serializer: Any, response_deserializer: Any
    ) -> Callable[[Any], ClientCall]:
        """Return what makes calls of one message, answered by a stream."""

        def make(request: Any) -> ClientCall:
            call = ClientCall(self, path, None, response_deserializer)
            call.send(request_serializer(request))
            return call

        return make

    def stream_stream(
        self, path: str, *, request_serializer: Any, response_deserializer: Any
    ) -> Callable[[], ClientCall]:
        """Return what makes calls of streams both ways."""
        return lambda: ClientCall(self, path, request_serializer, response_deserializer)

    def connection(self) -> Connection | float:
        """Return the connection, a new one if need be, or in how many seconds that fails."""
        if self._connection is not None and self._connection.client_open:
            return self._connection
        found = self.network.connect(self.process, self.notify)
        self._connection = found if isinstance(found, Connection) else None
        self.notify()
        return found

    def get_state(self, *, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return whether there is a connection; if not, perhaps try to have one."""
        if self._closed:
            return grpc.ChannelConnectivity.SHUTDOWN
        if self._connection is not None and self._connection.client_open:
            return grpc.ChannelConnectivity.READY
        if try_to_connect and not self._trying:
            self._try_in(self.network.world.rng.uniform(0.001, 0.2))
        return grpc.ChannelConnectivity.TRANSIENT_FAILURE

    async def wait_for_state_change(self, last: grpc.ChannelConnectivity) -> None:
        """Wait until the state is another."""
        while self.get_state() is last:
            future = self.process.loop.create_future()
            self._changed.append(future)
            await future

    def notify(self) -> None:
        """See that a connection has come about, or broken."""
        changed, self._changed = self._changed, []
        for future in changed:
            if not future.done():
                future.set_result(None)

    async def close(self, _grace: float | None = None) -> None:
        """End all calls."""
        self._closed = True
        self.notify()
        for call in sorted(self.calls, key=lambda call: call.number):
            call.cancel()

    def _try_in(self, seconds: float) -> None:
        self._trying = True
        self.process.loop.call_later(seconds, self._try)

    def _try(self) -> None:
        self._trying = False
        if self.get_state() is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            return
        found = self.connection()
        if not isinstance(found, Connection):
            self._try_in(found + self.network.world.rng.uniform(*_RECONNECT))


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
