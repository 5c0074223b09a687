# SPDX-License-Identifier: Apache-2.0
"""Blocks are hashed in order, beside whatever else is done, and two digests do not mix."""

from __future__ import annotations

import hashlib
import os
import threading

import pytest

from mmar_runner.storage.hashing_thread import HashingThread

SIZES = (0, 1, 1 << 16, 3, (1 << 20) + 1, 100, 1 << 17)


def test_blocks_of_any_size_are_hashed_in_order() -> None:
    blocks = [os.urandom(size) for size in SIZES]
    one, other = hashlib.sha256(), hashlib.sha256()
    with HashingThread() as hashing:
        for block in blocks:
            hashing.update(one, block)
            hashing.update(other, memoryview(block)[1:])
    assert one.digest() == hashlib.sha256(b"".join(blocks)).digest()
    assert other.digest() == hashlib.sha256(b"".join(block[1:] for block in blocks)).digest()


class _Held:
    """A digest that waits until it is let go, and may fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go, self.error, self.taken = threading.Event(), error, 0

    def update(self, data: bytes | memoryview, /) -> None:
        assert self.go.wait(30)
        if self.error is not None:
            raise self.error
        self.taken += len(data)


def test_whoever_hands_a_large_block_over_goes_on_meanwhile_and_settles_later() -> None:
    digest = _Held()
    with HashingThread() as hashing:
        hashing.update(digest, bytes(1 << 20))
        assert not digest.taken
        digest.go.set()
        hashing.settle()
        assert digest.taken == 1 << 20


def test_what_goes_wrong_in_the_thread_is_raised_here() -> None:
    digest = _Held(MemoryError("no room"))
    digest.go.set()
    with HashingThread() as hashing:
        hashing.update(digest, bytes(1 << 20))
        with pytest.raises(MemoryError, match="no room"):
            hashing.settle()
