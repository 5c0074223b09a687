# SPDX-License-Identifier: Apache-2.0
"""Hashes one block while the next one is read, written or summed.

Hashing costs more than anything else that happens to a block on its way between two files,
and lets other threads run meanwhile. One block is under way at a time, so no more than two are
in memory.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Self

#: Below so many bytes it takes longer to hand a block over than to hash it.
_WORTH_IT: Final = 64 << 10


class Digest(Protocol):
    """What hashes, as `hashlib` has it."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take the next bytes."""


class HashingThread:
    """One thread that hashes; used from one other, as a context that waits for its end."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self._under_way: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what is under way, and end the thread."""
        self._pool.shutdown()

    def update(self, digest: Digest, block: bytes | bytearray | memoryview) -> None:
        """Have a block hashed after those before it; it must not change until `settle`."""
        self.settle()
        if len(block) < _WORTH_IT:
            digest.update(block)
        else:
            self._under_way = self._pool.submit(digest.update, block)

    def settle(self) -> None:
        """Wait until every block that was handed over is hashed."""
        if self._under_way is not None:
            self._under_way.result()
            self._under_way = None
