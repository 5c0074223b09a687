# SPDX-License-Identifier: Apache-2.0
"""How much of an upload may be under way at once: enough for the line, and not much more.

What is written and has not arrived lies in the buffers of this machine and of the line.
Heartbeats, and the probes by which gRPC sees that a peer is alive, queue behind it: with
8 MiB under way a line of 32 KB/s would not let one through for four minutes. So a line is
given more as long as what is sent arrives soon, and less when it does not.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from mmar_runner.wire.limits import CHUNK_BYTES, LEAST_CHUNK_BYTES, UPLOAD_WINDOW_CHUNKS

#: Bytes under way, at least and to begin with, and at most. Two chunks: one travels while the
#: other is acknowledged.
LEAST_BYTES: Final = 128 << 10
MOST_BYTES: Final = UPLOAD_WINDOW_CHUNKS * CHUNK_BYTES
#: How long bytes may wait behind others, in seconds, above the least time that any took.
WAIT_SECONDS: Final = 2.0
#: In how many chunks the bytes under way are sent.
_CHUNKS: Final = 4


class UnderWay:
    """The bytes of one upload that were sent and are not yet known to have arrived.

    Pure: the clock is handed in.

    Args:
        offset: How many bytes the server held when it began.
    """

    def __init__(self, offset: int) -> None:
        self._sent = self._arrived = offset
        self._limit = LEAST_BYTES
        self._quickest = float("inf")
        self._chunks: deque[tuple[int, float]] = deque()

    @property
    def limit(self) -> int:
        """Bytes that may be under way now."""
        return self._limit

    @property
    def chunk_bytes(self) -> int:
        """How large the next chunk should be."""
        share = self._limit // _CHUNKS // LEAST_CHUNK_BYTES * LEAST_CHUNK_BYTES
        return min(max(share, LEAST_CHUNK_BYTES), CHUNK_BYTES)

    def has_room(self) -> bool:
        """Return True if another chunk may be sent."""
        return self._sent - self._arrived < self._limit

    def sent(self, size: int, now: float) -> None:
        """Note that a chunk is about to be sent.

        Args:
            size: Its bytes.
            now: Seconds of a clock that does not run backwards.
        """
        self._sent += size
        self._chunks.append((self._sent, now))

    def arrived(self, offset: int, now: float) -> None:
        """Note how many bytes of the file the server holds; 0 if it does not say."""
        if not offset:
            offset = self._sent
        while self._chunks and self._chunks[0][0] <= offset:
            end, since = self._chunks.popleft()
            size, self._arrived = end - self._arrived, end
            self._quickest = min(self._quickest, now - since)
            soon = now - since <= self._quickest + WAIT_SECONDS
            self._limit += size if soon else -size
            self._limit = min(max(self._limit, LEAST_BYTES), MOST_BYTES)
