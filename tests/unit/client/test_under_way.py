# SPDX-License-Identifier: Apache-2.0
"""A slow line is not stuffed, and a fast one is filled."""

from __future__ import annotations

from collections import deque

import pytest

from mmar_runner.client.transfer.under_way import LEAST_BYTES, MOST_BYTES, UnderWay
from mmar_runner.wire.limits import LEAST_CHUNK_BYTES

MB = 1_000_000


def sent_over(rate: float, delay: float, total: int = 64 * MB) -> tuple[float, float, int]:
    """Send bytes over a line and return the seconds, the longest queue (s), the largest chunk."""
    way, now, sent, free, longest, largest = UnderWay(0), 0.0, 0, 0.0, 0.0, 0
    answers: deque[tuple[float, int]] = deque()
    while sent < total:
        while way.has_room() and sent < total:
            size = min(way.chunk_bytes, total - sent)
            largest = max(largest, size)
            way.sent(size, now)
            sent += size
            free = max(free, now) + size / rate
            longest = max(longest, free - now)
            answers.append((free + delay, sent))
        now, offset = answers.popleft()
        way.arrived(offset, now)
    return answers[-1][0] if answers else now, longest, largest


def test_it_begins_small() -> None:
    way = UnderWay(5)
    assert (way.limit, way.chunk_bytes) == (LEAST_BYTES, LEAST_CHUNK_BYTES)


def test_on_a_slow_line_a_heartbeat_waits_a_few_seconds() -> None:
    seconds, longest, largest = sent_over(32_000, 0.6, total=4 * MB)
    assert seconds == pytest.approx(4 * MB / 32_000, rel=0.1)
    assert longest < 8
    assert largest == LEAST_CHUNK_BYTES


@pytest.mark.parametrize("delay", [0.0001, 0.02, 0.2])
def test_a_fast_line_is_filled(delay: float) -> None:
    rate = 25 * MB
    seconds, longest, largest = sent_over(rate, delay, total=256 * MB)
    assert seconds < 1.2 * (256 * MB / rate) + 12 * delay
    assert longest < 3.5
    assert largest == 1 << 20


def test_a_line_that_becomes_slow_is_given_less() -> None:
    way = UnderWay(0)
    for number in range(1, 200):
        way.sent(1 << 20, float(number))
        way.arrived(number << 20, number + 0.1)
    assert way.limit == MOST_BYTES
    for number in range(200, 220):
        way.sent(1 << 20, 1000.0 * number)
        way.arrived(number << 20, 1000.0 * number + 30)
    assert way.limit == LEAST_BYTES


def test_what_the_server_holds_already_is_not_under_way() -> None:
    way = UnderWay(10 * MB)
    way.sent(LEAST_BYTES // 2, 0.0)
    assert way.has_room()
    way.arrived(10 * MB, 1.0)
    way.sent(LEAST_BYTES // 2, 1.0)
    assert not way.has_room()
    way.arrived(10 * MB + LEAST_BYTES // 2, 2.0)
    assert way.has_room()
