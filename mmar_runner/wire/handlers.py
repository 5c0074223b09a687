# SPDX-License-Identifier: Apache-2.0
"""A servicer's answers as gRPC's handlers: every call passes the gate, every error is a status.

Whatever is no error of the error tree is logged and leaves as one fixed sentence, so that no
internals reach a peer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from mmar_runner.errors import MmarRunnerError, ProtocolError, RefusedError
from mmar_runner.wire import limits, methods
from mmar_runner.wire.faults import Faults
from mmar_runner.wire.gate import caller_of
from mmar_runner.wire.part_stream import GrpcPartStream
from mmar_runner.wire.status import shortened, status_of, trailing_metadata

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from mmar_runner.wire.gate import Gate, Peer
    from mmar_runner.wire.servicer import (
        AdminServicer,
        DiscoveryServicer,
        FederationServicer,
        HealthServicer,
        PartStream,
        RequestsServicer,
    )


class _GoneError(ProtocolError):
    """The connection ended before the message of a call was there: nobody is refused."""


class Handlers:
    """Turns servicers' answers into gRPC's handlers.

    Args:
        gate: Decides who may call.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._faults = Faults()

    def of_federation(
        self, servicer: FederationServicer, requests: RequestsServicer | None = None
    ) -> list[grpc.GenericRpcHandler]:
        """Return the handlers of the services that clients of a run call.

        Args:
            servicer: Answers the calls of a run.
            requests: Answers clients that wait for administrators; None has no such.
        """
        training = {
            "Register": self._unary(servicer.register, methods.REGISTER),
            "Quit": self._unary(servicer.quit, methods.QUIT),
            "Heartbeat": self._unary(servicer.heartbeat, methods.HEARTBEAT),
            "GetModel": self._streamed(servicer.get_model, methods.GET_MODEL),
            "SubmitUpdate": self._parts(servicer.submit_update, methods.SUBMIT_UPDATE),
            "SubmitBestLocalModel": self._parts(
                servicer.submit_best_local_model, methods.SUBMIT_BEST_LOCAL_MODEL
            ),
            "GetValidationModels": self._streamed(
                servicer.get_validation_models, methods.GET_VALIDATION_MODELS
            ),
            "SubmitCrossSiteValidationResults": self._unary(
                servicer.submit_cross_site_result, methods.SUBMIT_CROSS_SITE_VALIDATION_RESULTS
            ),
            "Exchange": self._unary(servicer.exchange, methods.EXCHANGE),
        }
        communicating = {"SendResult": self._unary(servicer.send_result, methods.SEND_RESULT)}
        if requests is not None:
            communicating["Retrieve"] = self._streamed(requests.retrieve, methods.RETRIEVE)
            communicating["SendReply"] = self._unary(requests.send_reply, methods.SEND_REPLY)
        return [
            grpc.method_handlers_generic_handler(methods.FEDERATED_TRAINING, training),
            grpc.method_handlers_generic_handler(methods.ADMIN_COMMUNICATING, communicating),
        ]

    def of_discovery(self, servicer: DiscoveryServicer) -> grpc.GenericRpcHandler:
        """Return the handlers of the service for clients that have no MMAR yet."""
        discovery = {
            "GetPackage": self._streamed(servicer.get_package, methods.GET_PACKAGE),
            "Decline": self._unary(servicer.decline, methods.DECLINE),
            "Assign": self._unary(servicer.assign, methods.ASSIGN),
        }
        return grpc.method_handlers_generic_handler(methods.DISCOVERY, discovery)

    def of_admin(self, servicer: AdminServicer) -> grpc.GenericRpcHandler:
        """Return the handlers of the service for administrators."""
        admin = {
            "Login": self._unary(servicer.login, methods.LOGIN),
            "Logout": self._unary(servicer.logout, methods.LOGOUT),
            "Execute": self._streamed(servicer.execute, methods.EXECUTE),
            "Upload": self._parts(servicer.upload, methods.UPLOAD),
            "Download": self._streamed(servicer.download, methods.DOWNLOAD),
        }
        return grpc.method_handlers_generic_handler(methods.ADMIN, admin)

    def of_health(self, servicer: HealthServicer) -> grpc.GenericRpcHandler:
        """Return the handlers of gRPC's own service for whoever looks after servers."""
        health = {
            "Check": self._unary(servicer.check, methods.HEALTH_CHECK),
            "Watch": self._streamed(servicer.watch, methods.HEALTH_WATCH),
        }
        return grpc.method_handlers_generic_handler(methods.HEALTH, health)

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

    def _parts(
        self,
        answer: Callable[[PartStream[Any, Any], Peer], Awaitable[None]],
        method: methods.Method[Any, Any],
    ) -> grpc.RpcMethodHandler[Any, Any]:
        async def handle(_requests: object, context: Any) -> None:
            try:
                with self._gate.call(method.name, context) as peer:
                    await answer(GrpcPartStream(context), peer)
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
