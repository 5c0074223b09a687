# SPDX-License-Identifier: Apache-2.0
"""What happens to the bytes of a connection through the proxy."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field

#: Bytes that are taken at once. Small: what a fault leaves unread stays with its sender.
PORTION = 64 << 10
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing sends RST


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to the bytes of a connection.

    Attributes:
        delay: Seconds from one side to the other, each way.
        rate: Bytes a second, each way; 0 for as many as come.
        rate_up: Bytes a second of requests, if they are slower than replies; 0 for ``rate``.
        slice: Bytes that are taken, and passed on, at once, at most.
        held: Nothing is passed on, either way, and nobody is told: a partition. What
            waits arrives once it is over.
        swallows_replies: Requests pass; what comes down is thrown away.
        swallows_requests: What goes up is thrown away; with the other, a black hole.
        drops_after: The connection is reset once so many bytes came down; -1 for never.
    """

    delay: float = 0.0
    rate: float = 0.0
    rate_up: float = 0.0
    slice: int = PORTION
    held: bool = False
    swallows_replies: bool = False
    swallows_requests: bool = False
    drops_after: int = -1

    def rate_of(self, *, is_reply: bool) -> float:
        """Return the bytes a second of one way; 0 for as many as come."""
        return self.rate if is_reply else self.rate_up or self.rate


@dataclass(slots=True, eq=False)
class Pair:
    """One connection through the proxy."""

    number: int
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    weather: Weather
    came_down: int = 0
    went_up: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def reset(self) -> None:
        for writer in (self.client, self.server):
            if not writer.transport.is_closing():
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            writer.transport.abort()
        self.changed.set()
