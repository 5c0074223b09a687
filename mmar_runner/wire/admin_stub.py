# SPDX-License-Identifier: Apache-2.0
"""Calls about administration: a console's, and those of a client that waits for requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import grpc.aio

from mmar_runner.wire import methods
from mmar_runner.wire.stub import PartCall, translated_call, unary_call

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from mmar_runner.wire.admin_codec import DownloadItem, UploadAnswer, UploadItem
    from mmar_runner.wire.messages import (
        AdminReply,
        AdminReplyReceipt,
        AdminRequest,
        DownloadRequest,
        ExecutePart,
        ExecuteRequest,
        LoginReply,
        LoginRequest,
        LogoutReply,
        LogoutRequest,
        RetrieveRequest,
    )

#: A running Upload.
UploadCall: TypeAlias = PartCall["UploadItem", "UploadAnswer"]


class AdminStub:
    """Calls of an administrator's console.

    Args:
        channel: From `open_channel`.
        target: The server's address, for error sentences.
    """

    def __init__(self, channel: grpc.aio.Channel, target: str = "the server") -> None:
        self._target = self.target = target
        self._login = unary_call(channel, methods.LOGIN)
        self._logout = unary_call(channel, methods.LOGOUT)
        self._execute = _streamed(channel, methods.EXECUTE)
        self._download = _streamed(channel, methods.DOWNLOAD)
        self._upload: Any = channel.stream_stream(
            methods.UPLOAD.path,
            request_serializer=methods.UPLOAD.encode_request,
            response_deserializer=methods.UPLOAD.decode_reply,
        )

    async def login(self, request: LoginRequest, *, timeout: float | None = None) -> LoginReply:
        """Open a session."""
        return await translated_call(self._login(request, timeout=timeout), self._target)

    async def logout(self, request: LogoutRequest, *, timeout: float | None = None) -> LogoutReply:
        """End a session."""
        return await translated_call(self._logout(request, timeout=timeout), self._target)

    def execute(self, request: ExecuteRequest) -> AsyncGenerator[ExecutePart, None]:
        """Order something and yield what comes of it.

        Raises:
            WireError: It was refused, or the stream broke off.
        """
        return _items(self._execute(request), self._target)

    def upload(self) -> UploadCall:
        """Begin to send one package."""
        return PartCall(self._upload(), self._target)

    def download(self, request: DownloadRequest) -> AsyncGenerator[DownloadItem, None]:
        """Yield the header of a file, then views of its chunks.

        Raises:
            WireError: It was refused, or the stream broke off.
        """
        return _items(self._download(request), self._target)


class RequestsStub:
    """Calls of a client that waits for what administrators ask.

    Args:
        channel: From `open_channel`.
        target: The server's address, for error sentences.
    """

    def __init__(self, channel: grpc.aio.Channel, target: str = "the server") -> None:
        self._target = target
        self._retrieve = _streamed(channel, methods.RETRIEVE)
        self._send_reply = unary_call(channel, methods.SEND_REPLY)

    def retrieve(self, request: RetrieveRequest) -> AsyncGenerator[AdminRequest, None]:
        """Yield one empty message as soon as the server knows of us, then requests.

        Raises:
            WireError: It was refused, or the stream broke off.
        """
        return _items(self._retrieve(request), self._target)

    async def send_reply(
        self, reply: AdminReply, *, timeout: float | None = None
    ) -> AdminReplyReceipt:
        """Answer a request."""
        return await translated_call(self._send_reply(reply, timeout=timeout), self._target)


def _streamed(channel: grpc.aio.Channel, method: methods.Method[Any, Any]) -> Any:
    return channel.unary_stream(
        method.path,
        request_serializer=method.encode_request,
        response_deserializer=method.decode_reply,
    )


async def _items(call: Any, target: str) -> AsyncGenerator[Any, None]:
    try:
        while (item := await translated_call(call.read(), target)) is not grpc.aio.EOF:
            yield item
    finally:
        call.cancel()
