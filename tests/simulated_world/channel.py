# SPDX-License-Identifier: Apache-2.0
"""The client's end of the network: a channel as gRPC's, below the production line and stub."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from tests.simulated_world.calls import ClientCall, UnaryCall
from tests.simulated_world.network import Connection, Network

#: How long gRPC waits between two attempts to connect, in seconds.
_RECONNECT = (0.2, 2.4)


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
