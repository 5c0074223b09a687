# SPDX-License-Identifier: Apache-2.0
"""A client that waits for requests, with no program behind it: hundreds fit into a process."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from mmar_runner import __version__
from mmar_runner.errors import MmarRunnerError
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.wire.admin_stub import RequestsStub
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.credentials import TlsFiles, channel_credentials
from mmar_runner.wire.messages import AdminReply, AdminRequest, RetrieveRequest

if TYPE_CHECKING:
    from pathlib import Path

#: What a client says to a request: a value, a whole reply, or nothing at all (None).
Answer: TypeAlias = Mapping[str, Any] | AdminReply | None
Answering: TypeAlias = Callable[["StandingStub", AdminRequest], Answer]

_FINE = {"state": "idle", "working": False, "message": "fine"}
_REPLY_SECONDS = 30.0


class StandingStub:
    """One client's held call. Use it as an asynchronous context manager.

    It believes every request: it has no site to protect.

    Args:
        kit: The client's.
        target: Where the server answers clients.
        name: Its name; None takes the kit's.
        key: Its session key; None makes one.
        answering: What it answers; None says that all is well.

    Attributes:
        requests: What it was asked, in order.
        replied: Whether the server still waited for each of its answers.
        ended: Why its call ended; None while it is held.
    """

    def __init__(
        self,
        kit: Path,
        target: str,
        *,
        name: str | None = None,
        key: bytes | None = None,
        answering: Answering | None = None,
    ) -> None:
        opened = load_kit(kit, Role.CLIENT, now=datetime.now(UTC))
        self.name = name or opened.identity.name
        self.key = key or secrets.token_bytes(32)
        self.requests: list[AdminRequest] = []
        self.replied: list[bool] = []
        self.ended: MmarRunnerError | str | None = None
        self.channel = open_channel(
            target,
            credentials=channel_credentials(
                TlsFiles(opened.cert_file, opened.key_file, opened.root_file)
            ),
        )
        self.stub = RequestsStub(self.channel, target)
        self._answering = answering or _fine
        self._told = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Wait until the server knows of it.

        Raises:
            MmarRunnerError: It is refused.
        """
        stream = self.stub.retrieve(
            RetrieveRequest(client_name=self.name, session_key=self.key, runner_version=__version__)
        )
        try:
            await anext(stream)
        except BaseException:
            await stream.aclose()
            await self.channel.close()
            raise
        self._held = asyncio.create_task(self._hold(stream))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave."""
        for task in (self._held, *self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.channel.close()

    async def asked(self, count: int = 1, *, seconds: float = 30.0) -> AdminRequest:
        """Wait until it was asked so often, and return the last of these requests."""
        async with asyncio.timeout(seconds):
            while len(self.requests) < count:
                self._told.clear()
                await self._told.wait()
        return self.requests[count - 1]

    async def let_go(self, *, seconds: float = 30.0) -> MmarRunnerError | str | None:
        """Wait until the server has ended the call, and return why."""
        async with asyncio.timeout(seconds):
            await asyncio.wait({self._held})
        return self.ended

    async def reply(self, request_id: str, answer: Answer) -> bool:
        """Answer a request; return whether the server still waited.

        Raises:
            MmarRunnerError: The answer is refused.
        """
        reply = answer
        if not isinstance(reply, AdminReply):
            reply = AdminReply(reply=json.dumps(dict(reply or {})).encode())
        reply.client_name, reply.request_id = reply.client_name or self.name, request_id
        receipt = await self.stub.send_reply(reply, timeout=_REPLY_SECONDS)
        return bool(receipt.awaited)

    async def _hold(self, stream: Any) -> None:
        try:
            async for request in stream:
                self.requests.append(request)
                self._told.set()
                answer = self._answering(self, request)
                if answer is not None:
                    task = asyncio.create_task(self._answer(request.request_id, answer))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
            self.ended = "the call is over"
        except MmarRunnerError as error:
            self.ended = error
        finally:
            await stream.aclose()

    async def _answer(self, request_id: str, answer: Answer) -> None:
        with suppress(MmarRunnerError):  # whoever asked is told that there was no answer
            self.replied.append(await self.reply(request_id, answer))


def _fine(_stub: StandingStub, _request: AdminRequest) -> Answer:
    return _FINE
