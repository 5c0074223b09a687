# SPDX-License-Identifier: Apache-2.0
"""The server side of the wire: a gRPC server around a servicer that knows no gRPC.

A servicer raises errors of the error tree; they leave as a status with a reason.
Anything else is logged here and leaves as one fixed sentence, so that no internals
reach a peer.
"""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from mmar_runner.errors import MmarRunnerError, ProtocolError, RefusedError, UsageError
from mmar_runner.wire import limits, methods
from mmar_runner.wire.faults import Faults
from mmar_runner.wire.gate import Gate, OpenGate, caller_of
from mmar_runner.wire.status import shortened, status_of, trailing_metadata

if TYPE_CHECKING:
    from mmar_runner.wire.codec import ReplyItem, SentModelItem, SentPackageItem, UpdateItem
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import (
        DeclineReply,
        DeclineRequest,
        GetModelRequest,
        GetPackageRequest,
        HeartbeatReply,
        HeartbeatRequest,
        QuitReply,
        QuitRequest,
        RegisterReply,
        RegisterRequest,
        ResultReply,
        ResultRequest,
    )

_SERVER_OPTIONS: Final = (
    ("grpc.max_receive_message_length", limits.MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", limits.MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", limits.MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", limits.MAX_METADATA_BYTES),
    ("grpc.max_concurrent_streams", limits.MAX_STREAMS_PER_CONNECTION),
    ("grpc.max_connection_idle_ms", limits.CONNECTION_IDLE_MS),
    ("grpc.server_handshake_timeout_ms", limits.HANDSHAKE_TIMEOUT_MS),
    ("grpc.keepalive_time_ms", limits.KEEPALIVE_TIME_MS),
    ("grpc.keepalive_timeout_ms", limits.KEEPALIVE_TIMEOUT_MS),
    # It is this that decides about a probe, and its default is a minute.
    ("grpc.http2.ping_timeout_ms", limits.KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", limits.LEAST_PROBE_PAUSE_MS),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", limits.SERVER_LOOKAHEAD_BYTES),
    ("grpc.so_reuseport", 0),  # else a second server silently shares the port
)


class UpdateStream(ABC):
    """One SubmitUpdate as the servicer sees it."""

    @abstractmethod
    async def read(self) -> UpdateItem | None:
        """Return the next part, or None once the client has no more to say."""

    @abstractmethod
    async def write(self, item: ReplyItem) -> None:
        """Send one reply."""


class FederationServicer(ABC):
    """What a server must answer. Errors of the error tree become refusals."""

    @abstractmethod
    async def register(self, request: RegisterRequest, peer: Peer) -> RegisterReply:
        """Join the run."""

    @abstractmethod
    async def quit(self, request: QuitRequest, peer: Peer) -> QuitReply:
        """Leave the run."""

    @abstractmethod
    async def heartbeat(self, request: HeartbeatRequest, peer: Peer) -> HeartbeatReply:
        """Renew a lease."""

    @abstractmethod
    def get_model(self, request: GetModelRequest, peer: Peer) -> AsyncIterator[SentModelItem]:
        """Yield a header and the bytes of a model, when there is one to give."""

    @abstractmethod
    async def submit_update(self, stream: UpdateStream, peer: Peer) -> None:
        """Receive one update."""

    @abstractmethod
    async def send_result(self, request: ResultRequest, peer: Peer) -> ResultReply:
        """Process a result."""


class DiscoveryServicer(ABC):
    """What a server answers to clients that have nothing but a start-up kit."""

    @abstractmethod
    def get_package(self, request: GetPackageRequest, peer: Peer) -> AsyncIterator[SentPackageItem]:
        """Yield a header and the bytes of the package that is deployed here."""

    @abstractmethod
    async def decline(self, request: DeclineRequest, peer: Peer) -> DeclineReply:
        """Hear that a site will not run the MMAR."""


class _GrpcUpdateStream(UpdateStream):
    def __init__(self, context: Any) -> None:
        self._context = context

    async def read(self) -> UpdateItem | None:
        try:
            item = await self._context.read()
        except grpc.aio.BaseError:
            return None  # the server was stopped while a session kept its call for later
        return None if item is grpc.aio.EOF else item

    async def write(self, item: ReplyItem) -> None:
        # gRPC notes only behind a call's first message that its head was sent: after a
        # cancellation inside of it no status can be sent, and the peer would wait for ever.
        # But not for ever: a peer may take nothing, and a call that is to end has to.
        loop = asyncio.get_running_loop()
        writing = asyncio.create_task(self._write(item))
        deadline = loop.time() + limits.WRITE_SECONDS
        cancelled: asyncio.CancelledError | None = None
        while not writing.done() and loop.time() < deadline:
            try:
                await asyncio.wait({writing}, timeout=deadline - loop.time())
            except asyncio.CancelledError as error:
                cancelled = error
                deadline = min(deadline, loop.time() + limits.LAST_WRITE_SECONDS)
        if cancelled is None and writing.done():
            return writing.result()
        await _given_up(writing)
        if cancelled is not None:
            raise cancelled
        msg = f"the peer did not read what it was sent in {limits.WRITE_SECONDS:g} s"
        raise RefusedError(msg, reason="TOO_SLOW")

    async def _write(self, item: ReplyItem) -> None:
        await self._context.write(item)


async def _given_up(writing: asyncio.Task[None]) -> None:
    """End a write, whatever comes of it: something else counts."""
    writing.cancel()
    await asyncio.wait({writing})
    if not writing.cancelled():
        writing.exception()


def build_server(
    servicer: FederationServicer,
    gate: Gate | None = None,
    *,
    discovery: DiscoveryServicer | None = None,
    max_connections: int | None = None,
) -> grpc.aio.Server:
    """Return a gRPC server for a servicer; it has no port yet and is not started.

    Args:
        servicer: Answers the calls.
        gate: Decides who may call; None lets everybody in.
        discovery: Answers clients that have no MMAR yet; None has none to give.
        max_connections: More are closed as they come, strangers' among them, so that they
            cannot use up the files of this process; None takes what comes.
    """
    options = list(_SERVER_OPTIONS)
    if max_connections is not None:
        options.append(("grpc.max_allowed_incoming_connections", max_connections))
    server = grpc.aio.server(options=options)
    handlers = _Handlers(servicer, gate or OpenGate())
    server.add_generic_rpc_handlers(handlers.generic())
    if discovery is not None:
        server.add_generic_rpc_handlers([handlers.of_discovery(discovery)])
    return server


def bind(
    server: grpc.aio.Server, listen: str, *, credentials: grpc.ServerCredentials | None = None
) -> str:
    """Bind a server to ``host:port`` (port 0 picks a free one) or ``unix:/path``.

    Returns:
        The address it really listens on.

    Raises:
        UsageError: The address cannot be bound.
    """
    try:
        if credentials is None:
            port = server.add_insecure_port(listen)
        else:
            port = server.add_secure_port(listen, credentials)
    except RuntimeError as error:
        raise _in_use(listen) from error
    if listen.startswith("unix:"):
        return listen
    return f"{listen.rpartition(':')[0]}:{port}"


def require_free(listen: str) -> None:
    """See whether `bind` will be able to, before anything is begun for it.

    Nothing is kept: somebody may still come in between, and `bind` says so then.

    Args:
        listen: As for `bind`; port 0 and ``unix:`` are not looked at.

    Raises:
        UsageError: None of the addresses can be bound.
    """
    host, _, port = listen.rpartition(":")
    if listen.startswith("unix:") or not port.isdecimal() or not int(port):
        return
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        raise _in_use(listen) from error
    refused: OSError | None = None
    for family, _, _, _, address in found:
        refused = _refusal_of(family, address)
        if refused is None:  # one of a name's addresses is enough for gRPC
            return
    raise _in_use(listen) from refused


def _refusal_of(family: int, address: Any) -> OSError | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As gRPC does: connections of a server that has ended are no other server.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _in_use(listen: str) -> UsageError:
    msg = f"cannot listen on {listen}: the address is in use or not one of this machine's"
    hint = "stop the other server, or choose another port with --listen (0 picks a free one)"
    return UsageError(msg, hint=hint, reason="ADDRESS_IN_USE")


class _GoneError(ProtocolError):
    """The connection ended before the message of a call was there: nobody is refused."""


class _Handlers:
    """Turns a servicer's answers into gRPC's handlers; every call passes the gate."""

    def __init__(self, servicer: FederationServicer, gate: Gate) -> None:
        self._servicer = servicer
        self._gate = gate
        self._faults = Faults()

    def generic(self) -> list[grpc.GenericRpcHandler]:
        """Return the handlers of the services that a run has."""
        servicer = self._servicer
        training = {
            "Register": self._unary(servicer.register, methods.REGISTER),
            "Quit": self._unary(servicer.quit, methods.QUIT),
            "Heartbeat": self._unary(servicer.heartbeat, methods.HEARTBEAT),
            "GetModel": self._streamed(servicer.get_model, methods.GET_MODEL),
            "SubmitUpdate": self._submit_update(),
        }
        communicating = {"SendResult": self._unary(servicer.send_result, methods.SEND_RESULT)}
        return [
            grpc.method_handlers_generic_handler(methods.FEDERATED_TRAINING, training),
            grpc.method_handlers_generic_handler(methods.ADMIN_COMMUNICATING, communicating),
        ]

    def of_discovery(self, servicer: DiscoveryServicer) -> grpc.GenericRpcHandler:
        """Return the handlers of the service for clients that have no MMAR yet."""
        discovery = {
            "GetPackage": self._streamed(servicer.get_package, methods.GET_PACKAGE),
            "Decline": self._unary(servicer.decline, methods.DECLINE),
        }
        return grpc.method_handlers_generic_handler(methods.DISCOVERY, discovery)

    # Calls of one message are streams to gRPC here, as they are on the wire: whoever may not
    # call is told so before its message is read, and nobody may take for ever to send it.

    def _unary(
        self, answer: Callable[[Any, Peer], Awaitable[Any]], method: methods.Method[Any, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        async def handle(_requests: object, context: Any) -> Any:
            try:
                with self._gate.call(method.name, context) as peer:
                    return await answer(await _request(method, context), peer)
            except Exception as error:  # noqa: BLE001 - always leaves as an abort
                await self._abort(method, context, error)

        return grpc.stream_unary_rpc_method_handler(handle, response_serializer=method.encode_reply)

    def _streamed(
        self, answer: Callable[[Any, Peer], AsyncIterator[Any]], method: methods.Method[Any, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        async def handle(_requests: object, context: Any) -> None:
            try:
                with self._gate.call(method.name, context) as peer:
                    async for item in answer(await _request(method, context), peer):
                        await context.write(item)
            except Exception as error:  # noqa: BLE001 - always leaves as an abort
                await self._abort(method, context, error)

        return grpc.stream_stream_rpc_method_handler(
            handle, response_serializer=method.encode_reply
        )

    def _submit_update(self) -> grpc.RpcMethodHandler[Any, Any]:
        method = methods.SUBMIT_UPDATE

        async def handle(_requests: object, context: Any) -> None:
            try:
                with self._gate.call(method.name, context) as peer:
                    await self._servicer.submit_update(_GrpcUpdateStream(context), peer)
            except Exception as error:  # noqa: BLE001 - always leaves as an abort
                await self._abort(method, context, error)

        return grpc.stream_stream_rpc_method_handler(
            handle,
            request_deserializer=method.decode_request,
            response_serializer=method.encode_reply,
        )

    async def _abort(
        self, method: methods.Method[Any, Any], context: Any, error: Exception
    ) -> NoReturn:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        if not isinstance(error, MmarRunnerError):
            self._faults.tell(method.name, error)
            error = MmarRunnerError("internal error; the server's log has it", reason="INTERNAL")
        try:
            if not isinstance(error, _GoneError):
                self._gate.refused(method.name, caller_of(context), error)
        except MmarRunnerError as unwritten:  # a refusal that nobody noted is told as that
            error = unwritten
        await context.abort(status_of(error), shortened(error.message), trailing_metadata(error))
        raise error  # abort raises; this line is for readers and type checkers


async def _request(method: methods.Method[Any, Any], context: Any) -> Any:
    """Return the message of a call; what is none, or does not come, leaves as a refusal."""
    try:
        async with asyncio.timeout(limits.REQUEST_SECONDS):
            data = await context.read()
    except TimeoutError:
        msg = f"the request of {method.name} did not come in {limits.REQUEST_SECONDS:g} s"
        raise RefusedError(msg, reason="TOO_SLOW") from None
    except grpc.aio.BaseError:
        data = grpc.aio.EOF  # the server was stopped, or the peer is gone
    if data is grpc.aio.EOF:
        msg = f"{method.name} was called without a request"
        raise ProtocolError(msg) if context.peer() else _GoneError(msg)
    try:
        return method.decode_request(data)
    except DecodeError as error:
        msg = f"the request is not one of {method.name}"
        raise ProtocolError(msg) from error
