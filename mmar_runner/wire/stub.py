# SPDX-License-Identifier: Apache-2.0
"""The client's view of the server: typed calls whose errors are the error tree's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import grpc
import grpc.aio

from mmar_runner.errors import UnreachableError
from mmar_runner.wire import methods
from mmar_runner.wire.status import translate

if TYPE_CHECKING:
    from mmar_runner.wire.codec import ModelItem, PackageItem, ReplyItem, UpdateItem
    from mmar_runner.wire.messages import (
        AssignReply,
        AssignRequest,
        CrossSiteResult,
        CrossSiteResultReply,
        DeclineReply,
        DeclineRequest,
        ExchangeReply,
        ExchangeRequest,
        GetModelRequest,
        GetPackageRequest,
        GetValidationModelsRequest,
        HeartbeatReply,
        HeartbeatRequest,
        QuitReply,
        QuitRequest,
        RegisterReply,
        RegisterRequest,
        ResultReply,
        ResultRequest,
    )

_T = TypeVar("_T")


class ModelCall:
    """A running GetModel: iterate over the header and the chunks that follow."""

    def __init__(self, call: Any, target: str) -> None:
        self._call = call
        self._target = target

    async def __aiter__(self) -> AsyncIterator[ModelItem]:
        """Yield the header, then views of the chunks, in order.

        Raises:
            WireError: The stream was refused or broke off.
        """
        while (item := await translated_call(self._call.read(), self._target)) is not grpc.aio.EOF:
            yield item

    def cancel(self) -> None:
        """Give the call up; the server stops sending."""
        self._call.cancel()


_Part = TypeVar("_Part")
_Answer = TypeVar("_Answer")


class PartCall(Generic[_Part, _Answer]):
    """A running call of parts and answers: write parts, read answers.

    Args:
        call: As gRPC gives it.
        target: The server's address, for error sentences.
    """

    def __init__(self, call: Any, target: str) -> None:
        self._call = call
        self._target = target

    async def write(self, item: _Part) -> None:
        """Send one part.

        Raises:
            WireError: The server refused it, or the stream broke off.
        """
        await translated_call(self._write(item), self._target)

    async def read(self) -> _Answer | None:
        """Return the next answer, or None once the server has no more to say."""
        item = await translated_call(self._call.read(), self._target)
        return None if item is grpc.aio.EOF else item

    async def done_writing(self) -> None:
        """Say that no part follows."""
        await translated_call(self._call.done_writing(), self._target)

    def cancel(self) -> None:
        """Give the call up; what the server holds is kept for a later attempt."""
        self._call.cancel()

    async def _write(self, item: _Part) -> None:
        try:
            await self._call.write(item)
        except asyncio.InvalidStateError:
            # The call ended while we wrote; its status says why.
            await self._call.read()


#: A running SubmitUpdate.
UpdateCall: TypeAlias = PartCall["UpdateItem", "ReplyItem"]


class FederationStub:
    """Calls of one server over one channel.

    Args:
        channel: From `open_channel`.
        target: The server's address, for error sentences.
    """

    def __init__(self, channel: grpc.aio.Channel, target: str = "the server") -> None:
        self._target = target
        self._register = unary_call(channel, methods.REGISTER)
        self._quit = unary_call(channel, methods.QUIT)
        self._heartbeat = unary_call(channel, methods.HEARTBEAT)
        self._send_result = unary_call(channel, methods.SEND_RESULT)
        self._exchange = unary_call(channel, methods.EXCHANGE)
        self._get_model: Any = channel.unary_stream(
            methods.GET_MODEL.path,
            request_serializer=methods.GET_MODEL.encode_request,
            response_deserializer=methods.GET_MODEL.decode_reply,
        )
        self._get_validation_models: Any = channel.unary_stream(
            methods.GET_VALIDATION_MODELS.path,
            request_serializer=methods.GET_VALIDATION_MODELS.encode_request,
            response_deserializer=methods.GET_VALIDATION_MODELS.decode_reply,
        )
        self._submit_best_local_model: Any = channel.stream_stream(
            methods.SUBMIT_BEST_LOCAL_MODEL.path,
            request_serializer=methods.SUBMIT_BEST_LOCAL_MODEL.encode_request,
            response_deserializer=methods.SUBMIT_BEST_LOCAL_MODEL.decode_reply,
        )
        self._submit_cross_site_result = unary_call(
            channel, methods.SUBMIT_CROSS_SITE_VALIDATION_RESULTS
        )
        self._submit_update: Any = channel.stream_stream(
            methods.SUBMIT_UPDATE.path,
            request_serializer=methods.SUBMIT_UPDATE.encode_request,
            response_deserializer=methods.SUBMIT_UPDATE.decode_reply,
        )

    async def register(
        self, request: RegisterRequest, *, timeout: float | None = None
    ) -> RegisterReply:
        """Join the run."""
        return await translated_call(self._register(request, timeout=timeout), self._target)

    async def quit(self, request: QuitRequest, *, timeout: float | None = None) -> QuitReply:
        """Leave the run."""
        return await translated_call(self._quit(request, timeout=timeout), self._target)

    async def heartbeat(
        self, request: HeartbeatRequest, *, timeout: float | None = None
    ) -> HeartbeatReply:
        """Renew the lease."""
        return await translated_call(self._heartbeat(request, timeout=timeout), self._target)

    async def exchange(
        self, request: ExchangeRequest, *, timeout: float | None = None
    ) -> ExchangeReply:
        """Hand in a payload of one phase and wait for its answer, however long others take."""
        return await translated_call(self._exchange(request, timeout=timeout), self._target)

    async def send_result(
        self, request: ResultRequest, *, timeout: float | None = None
    ) -> ResultReply:
        """Send a result for a topic."""
        return await translated_call(self._send_result(request, timeout=timeout), self._target)

    def get_model(self, request: GetModelRequest) -> ModelCall:
        """Ask for the next model; the call is held until there is one."""
        return ModelCall(self._get_model(request), self._target)

    def submit_update(self) -> UpdateCall:
        """Begin to submit one update."""
        return UpdateCall(self._submit_update(), self._target)

    def submit_best_local_model(self) -> UpdateCall:
        """Begin to submit the best local model."""
        return UpdateCall(self._submit_best_local_model(), self._target)

    def get_validation_models(self, request: GetValidationModelsRequest) -> ModelCall:
        """Ask for the models to validate; the call is held until there is no more to come."""
        return ModelCall(self._get_validation_models(request), self._target)

    async def submit_cross_site_result(
        self, request: CrossSiteResult, *, timeout: float | None = None
    ) -> CrossSiteResultReply:
        """Say what a model is worth on this client's data."""
        call = self._submit_cross_site_result(request, timeout=timeout)
        reply: CrossSiteResultReply = await translated_call(call, self._target)
        return reply


class DiscoveryStub:
    """Calls of a client that has nothing but a start-up kit.

    Args:
        channel: From `open_channel`.
        target: The server's address, for error sentences.
    """

    def __init__(self, channel: grpc.aio.Channel, target: str = "the server") -> None:
        self._target = target
        self._decline = unary_call(channel, methods.DECLINE)
        self._assign = unary_call(channel, methods.ASSIGN)
        self._get_package: Any = channel.unary_stream(
            methods.GET_PACKAGE.path,
            request_serializer=methods.GET_PACKAGE.encode_request,
            response_deserializer=methods.GET_PACKAGE.decode_reply,
        )

    async def get_package(self, request: GetPackageRequest) -> AsyncGenerator[PackageItem, None]:
        """Yield the header of the package that is deployed, then views of its chunks.

        Raises:
            WireError: The call was refused or broke off.
        """
        call = self._get_package(request)
        try:
            while (item := await translated_call(call.read(), self._target)) is not grpc.aio.EOF:
                yield item
        finally:
            call.cancel()

    async def decline(
        self, request: DeclineRequest, *, timeout: float | None = None
    ) -> DeclineReply:
        """Say that this site will not run the MMAR.

        Raises:
            WireError: The server did not take it.
        """
        return await translated_call(self._decline(request, timeout=timeout), self._target)

    async def assign(self, request: AssignRequest, *, timeout: float | None = None) -> AssignReply:
        """Ask which combiner to work below.

        Raises:
            WireError: The server refused to say, or nobody answered.
        """
        reply: AssignReply = await translated_call(
            self._assign(request, timeout=timeout), self._target
        )
        return reply


def unary_call(
    channel: grpc.aio.Channel, method: methods.Method[Any, Any]
) -> Callable[..., Awaitable[Any]]:
    """Return a call of one message and one answer, as gRPC gives it."""
    call: Callable[..., Awaitable[Any]] = channel.unary_unary(
        method.path,
        request_serializer=method.encode_request,
        response_deserializer=method.decode_reply,
    )
    return call


async def translated_call(awaitable: Awaitable[_T], target: str) -> _T:
    """Return what a call of gRPC returns; its errors become those of the error tree.

    Raises:
        WireError: It was refused, or nobody answered.
    """
    try:
        return await awaitable
    except grpc.aio.AioRpcError as error:
        raise translate(error, target) from error
    except asyncio.CancelledError as error:
        # A call that ends with its channel looks like a task that is told to end.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise UnreachableError(f"the call to {target} was given up") from error
