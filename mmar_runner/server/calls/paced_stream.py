# SPDX-License-Identifier: Apache-2.0
"""A stream of updates whose messages count: a call is let in once, and may then go on for days."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import RefusedError
from mmar_runner.server.gate.pace import Paces
from mmar_runner.wire.packing import Packed
from mmar_runner.wire.servicer import UpdateStream

if TYPE_CHECKING:
    from mmar_runner.wire.codec import ReplyItem, UpdateItem
    from mmar_runner.wire.gate import Peer

#: Messages of all streams of one certificate, a second for long and at once. An update takes
#: two: its chunks do not count, save the last, since they are larger than `_FREE_BYTES`.
MESSAGES_PER_SECOND: Final = 1000.0
MESSAGES_AT_ONCE: Final = 4000.0
_FREE_BYTES: Final = 64 << 10


def message_paces() -> Paces:
    """Return buckets for the streams of one server."""
    return Paces(MESSAGES_PER_SECOND, MESSAGES_AT_ONCE)


class PacedStream(UpdateStream):
    """Passes a stream on for as long as its sender keeps to the pace.

    Args:
        stream: What is passed on.
        paces: Shared by all streams of a server.
        peer: Who sends.
    """

    def __init__(self, stream: UpdateStream, paces: Paces, peer: Peer) -> None:
        self._stream = stream
        self._paces = paces
        self._peer = peer

    async def read(self) -> UpdateItem | None:
        """Return the next part, or None once the client has no more to say.

        Raises:
            RefusedError: RATE_LIMITED.
        """
        item = await self._stream.read()
        if item is not None and not _is_free(item):
            self._check_pace()
        return item

    async def write(self, item: ReplyItem) -> None:
        """Send one reply."""
        await self._stream.write(item)

    def _check_pace(self) -> None:
        # Without certificates nobody can tell whose stream it is: loopback only.
        who = self._peer.fingerprint
        if who and not self._paces.take(who, asyncio.get_running_loop().time()):
            msg = f"{self._peer.who} sends more than {MESSAGES_PER_SECOND:g} messages a second"
            raise RefusedError(msg, reason="RATE_LIMITED", hint="try again a little later")


def _is_free(item: UpdateItem) -> bool:
    return isinstance(item, (bytes, bytearray, memoryview, Packed)) and len(item) >= _FREE_BYTES
