# SPDX-License-Identifier: Apache-2.0
"""Chunks of a download fit the line, so that its receiver sees something every few seconds."""

from __future__ import annotations

import pytest

from mmar_runner.server.file_chunks import FIRST_CHUNK_BYTES, Stride
from mmar_runner.wire.limits import CHUNK_BYTES, LEAST_CHUNK_BYTES, LOOKAHEAD_BYTES

MB = 1_000_000


def sizes_over(rate: float, total: int) -> list[int]:
    """Return the chunks of a transfer whose receiver opens its window by halves."""
    stride, now, taken, opened, sizes = Stride(0.0), 0.0, 0, LOOKAHEAD_BYTES, []
    while taken < total:
        size = stride.chunk_bytes(CHUNK_BYTES)
        if taken + size > opened:
            now += LOOKAHEAD_BYTES / 2 / rate
            opened += LOOKAHEAD_BYTES // 2
        taken += size
        stride.taken(size, now)
        sizes.append(size)
    return sizes


def test_they_are_small_until_the_line_is_known() -> None:
    first = sizes_over(32_000, LOOKAHEAD_BYTES)
    assert set(first) == {FIRST_CHUNK_BYTES}


@pytest.mark.parametrize("rate", [8_000, 32_000, 100_000])
def test_on_a_slow_line_they_stay_small_although_it_takes_them_in_bursts(rate: float) -> None:
    late = sizes_over(rate, 40 * MB)[len(sizes_over(rate, LOOKAHEAD_BYTES)) + 1 :]
    assert max(late) <= max(LEAST_CHUNK_BYTES, 3 * rate)


def test_on_a_fast_line_they_are_as_large_as_they_may_be() -> None:
    assert sizes_over(50 * MB, 100 * MB)[LOOKAHEAD_BYTES // FIRST_CHUNK_BYTES + 2] == CHUNK_BYTES


def test_a_receiver_that_rested_gets_large_ones_again() -> None:
    stride, now = Stride(0.0), 3600.0
    for _ in range(2 * LOOKAHEAD_BYTES // LEAST_CHUNK_BYTES):
        stride.taken(LEAST_CHUNK_BYTES, now)
        now += 0.001
    assert stride.chunk_bytes(CHUNK_BYTES) == CHUNK_BYTES


def test_a_share_of_the_memory_is_not_exceeded() -> None:
    assert Stride(0.0).chunk_bytes(LEAST_CHUNK_BYTES) == LEAST_CHUNK_BYTES
