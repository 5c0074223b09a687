# SPDX-License-Identifier: Apache-2.0
"""The server's end of the network: the production handlers, served as gRPC serves them."""

from __future__ import annotations

import asyncio
from collections import deque
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from mmar_runner.wire.handlers import Handlers
from tests.simulated_world.network import Connection, Network

if TYPE_CHECKING:
    from tests.simulated_world.calls import ClientCall


class SimulatedServer:
    """Stands in for the gRPC server that `mmar_runner.wire.server.build_server` returns.

    Args:
        network: Where it listens, once it is started.
        servicer: Answers the calls.
        gate: Decides who may call.
    """

    def __init__(self, network: Network, servicer: Any, gate: Any, **_: Any) -> None:
        process = network.world.current
        assert process is not None
        self.network, self.process = network, process
        self._handlers = Handlers(gate).of_federation(servicer)
        self.running: dict[ServedCall, None] = {}
        self.stopped = False

    async def start(self) -> None:
        """Accept connections."""
        self.network.listener = self

    async def stop(self, _grace: float) -> None:
        """Accept none any more, and end every call."""
        if self.network.listener is self:
            self.network.listener = None
        self.stopped = True
        tasks = [call.task for call in self.running if call.task is not None]
        for call in list(self.running):
            call.refuse(grpc.StatusCode.UNAVAILABLE, "the server is gone")
            call.gone()
        if tasks:
            await asyncio.wait(tasks)

    def call(self, path: str, connection: Connection, client: ClientCall) -> ServedCall:
        """Return one call, which begins when its first message has arrived."""
        details: Any = SimpleNamespace(method=path)
        found = (handler.service(details) for handler in self._handlers)
        return ServedCall(self, next(filter(None, found)), connection, client)


class ServedCall:
    """A call, as the server sees it: gRPC's context for a handler."""

    def __init__(
        self, server: SimulatedServer, handler: Any, connection: Connection, client: ClientCall
    ) -> None:
        self._server, self._handler = server, handler
        self._connection, self._client = connection, client
        self._inbox: deque[bytes | None] = deque()
        self._arrived: list[asyncio.Future[None]] = []
        self._sent_at = 0.0
        self._ended = False
        self.task: asyncio.Task[None] | None = None

    # What the network does

    def begin(self) -> None:
        """Begin to answer."""
        if self._server.stopped:
            return
        self._server.running[self] = None
        self._connection.served[self] = None
        self.task = self._server.process.loop.create_task(self._answer())

    def arrived(self, data: bytes | None) -> None:
        """Take a message, or the end of them."""
        self._inbox.append(data)
        arrived, self._arrived = self._arrived, []
        for future in arrived:
            if not future.done():
                future.set_result(None)

    def gone(self) -> None:
        """The client has given up, or cannot be reached: whatever is done for it ends."""
        self._ended = True
        if self.task is not None:
            self.task.cancel()

    # What a handler does

    def peer(self) -> str:
        """Return where the call comes from."""
        return f"ipv4:127.0.0.1:{self._connection.client.name}"

    def auth_context(self) -> dict[str, Any]:
        """Return that nothing is known of the peer."""
        return {}

    async def read(self) -> Any:
        """Return the next message, or EOF."""
        while not self._inbox:
            future = self._server.process.loop.create_future()
            self._arrived.append(future)
            await future
        if self._inbox[0] is None:
            return grpc.aio.EOF
        data = self._inbox.popleft()
        decode = self._handler.request_deserializer
        return data if decode is None else decode(data)

    async def write(self, item: Any) -> None:
        """Send a message."""
        self._reply(self._handler.response_serializer(item))
        await asyncio.sleep(0)

    async def abort(self, code: grpc.StatusCode, details: str, trailing: Any = ()) -> None:
        """End the call with a refusal."""
        self._end(code, details, tuple(trailing))
        raise grpc.aio.AbortError

    def refuse(self, code: grpc.StatusCode, details: str) -> None:
        """End the call for the client, whatever its handler does."""
        self._end(code, details)

    # Small helpers

    async def _answer(self) -> None:
        try:
            if self._handler.response_streaming:
                await self._handler.stream_stream(None, self)
            else:
                reply = await self._handler.stream_unary(None, self)
                self._reply(self._handler.response_serializer(reply))
            self._end(grpc.StatusCode.OK, "")
        except grpc.aio.AbortError:
            return
        except asyncio.CancelledError:
            self._end(grpc.StatusCode.CANCELLED, "")
            raise
        except Exception as error:
            self._server.network.world.defects.append(f"a handler raised {error!r}")
            raise
        finally:
            self._server.running.pop(self, None)
            self._connection.served.pop(self, None)

    def _reply(self, data: bytes) -> None:
        client = self._client
        self._send(lambda: client.arrived(data))

    def _end(self, code: grpc.StatusCode, details: str, trailing: Any = ()) -> None:
        if not self._ended:
            self._ended = True
            client = self._client
            self._send(lambda: client.end(code, details, trailing), last=True)

    def _send(self, arrive: Any, *, last: bool = False) -> None:
        if (self._ended and not last) or not self._connection.server_open:
            return
        self._sent_at = self._connection.send(
            to_server=False, not_before=self._sent_at, arrive=arrive
        )
