# SPDX-License-Identifier: Apache-2.0
"""A call of parts and answers over gRPC: a write that ends, whatever the peer takes of it."""

from __future__ import annotations

import asyncio
from typing import Any, Generic, TypeVar

import grpc.aio

from mmar_runner.errors import RefusedError
from mmar_runner.wire import limits
from mmar_runner.wire.servicer import PartStream

_Part = TypeVar("_Part")
_Answer = TypeVar("_Answer")


class GrpcPartStream(PartStream[_Part, _Answer], Generic[_Part, _Answer]):
    """The stream of one call.

    Args:
        context: Of the call, as gRPC gives it.
    """

    def __init__(self, context: Any) -> None:
        self._context = context

    async def read(self) -> _Part | None:
        """Return the next part, or None once nothing more comes."""
        try:
            item = await self._context.read()
        except grpc.aio.BaseError:
            return None  # the server was stopped while a session kept its call for later
        return None if item is grpc.aio.EOF else item

    async def write(self, item: _Answer) -> None:
        """Send one reply.

        Raises:
            RefusedError: TOO_SLOW, the peer does not read.
        """
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

    async def _write(self, item: _Answer) -> None:
        await self._context.write(item)


async def _given_up(writing: asyncio.Task[None]) -> None:
    """End a write, whatever comes of it: something else counts."""
    writing.cancel()
    await asyncio.wait({writing})
    if not writing.cancelled():
        writing.exception()
