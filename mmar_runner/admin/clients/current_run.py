# SPDX-License-Identifier: Apache-2.0
"""The run that is open now, as clients see it; between runs they are told to come again."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, NoReturn

from mmar_runner.errors import RefusedError
from mmar_runner.wire.servicer import FederationServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from mmar_runner.wire.codec import SentModelItem
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import (
        ExchangeReply,
        ExchangeRequest,
        GetModelRequest,
        HeartbeatReply,
        HeartbeatRequest,
        QuitReply,
        QuitRequest,
        RegisterReply,
        RegisterRequest,
        ResultReply,
        ResultRequest,
    )
    from mmar_runner.wire.servicer import UpdateStream


class CurrentRun(FederationServicer):
    """Hands every call to the run that is open."""

    def __init__(self) -> None:
        self._run: FederationServicer | None = None
        self._calls: set[asyncio.Task[object]] = set()
        self._ended: set[asyncio.Task[object]] = set()

    @asynccontextmanager
    async def serving(self, run: FederationServicer) -> AsyncIterator[None]:
        """Let clients in to a run for as long as the block lasts; then end their calls."""
        self._run = run
        try:
            yield
        finally:
            self._run = None
            await self._end_calls()

    async def register(self, request: RegisterRequest, peer: Peer) -> RegisterReply:
        """Join the run."""
        with self._call() as run:
            return await run.register(request, peer)

    async def quit(self, request: QuitRequest, peer: Peer) -> QuitReply:
        """Leave the run."""
        with self._call() as run:
            return await run.quit(request, peer)

    async def heartbeat(self, request: HeartbeatRequest, peer: Peer) -> HeartbeatReply:
        """Renew a lease."""
        with self._call() as run:
            return await run.heartbeat(request, peer)

    async def get_model(self, request: GetModelRequest, peer: Peer) -> AsyncIterator[SentModelItem]:
        """Send models as there are tasks."""
        with self._call() as run:
            async for item in run.get_model(request, peer):
                yield item

    async def submit_update(self, stream: UpdateStream, peer: Peer) -> None:
        """Receive updates."""
        with self._call() as run:
            await run.submit_update(stream, peer)

    async def exchange(self, request: ExchangeRequest, peer: Peer) -> ExchangeReply:
        """Hold a payload until its phase is complete."""
        with self._call() as run:
            return await run.exchange(request, peer)

    async def send_result(self, request: ResultRequest, peer: Peer) -> ResultReply:
        """Process a result."""
        with self._call() as run:
            return await run.send_result(request, peer)

    @contextmanager
    def _call(self) -> Iterator[FederationServicer]:
        """Give the run, and end the call with it.

        Raises:
            RefusedError: NO_RUN, none is open; SERVER_STOPPING, it has just been closed.
        """
        if self._run is None:
            msg = "no run is open at the server"
            hint = "it begins when an administrator starts one"
            raise RefusedError(msg, reason="NO_RUN", hint=hint)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a call is a task
        self._calls.add(task)
        try:
            yield self._run
        except asyncio.CancelledError:
            if task not in self._ended:
                raise
            task.uncancel()
            _closed()
        finally:
            self._calls.discard(task)
            self._ended.discard(task)

    async def _end_calls(self) -> None:
        if not (calls := set(self._calls)):
            return
        self._ended |= calls
        for task in calls:
            task.cancel()
        await asyncio.wait(calls)


def _closed() -> NoReturn:
    msg = "the server has closed the run; it may go on later"
    raise RefusedError(msg, reason="SERVER_STOPPING") from None
