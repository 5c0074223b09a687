# SPDX-License-Identifier: Apache-2.0
"""Chunks of a download fit the line, so that its receiver sees something every few seconds."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mmar_runner.errors import StorageError
from mmar_runner.server.calls.file_chunks import FIRST_CHUNK_BYTES, Stride, file_chunks
from mmar_runner.server.calls.windows import SharedWindow
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


async def read(path: Path, size: int) -> int:
    """Return how many bytes of a file came as chunks."""
    window = SharedWindow(CHUNK_BYTES, least=LEAST_CHUNK_BYTES, most=CHUNK_BYTES)
    with window.user():
        return sum([len(getattr(c, "payload", c)) async for c in file_chunks(path, size, window)])


async def test_all_of_a_file_comes(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(bytes(300_000))
    assert await read(path, 300_000) == 300_000


async def test_a_file_that_is_gone_or_cut_is_an_error_of_storage(tmp_path: Path) -> None:
    """A client gives up for an error that nobody foresaw, and asks again for one of a disk."""
    path = tmp_path / "model"
    with pytest.raises(StorageError, match="model: No such file") as missing:
        await read(path, 1)
    path.write_bytes(bytes(10))
    with pytest.raises(StorageError, match="became shorter") as cut:
        await read(path, 20)
    assert {missing.value.reason, cut.value.reason} == {"STORAGE"}


async def test_a_disk_that_cannot_read_is_an_error_of_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model"
    path.write_bytes(bytes(10))

    def broken(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", broken)
    with pytest.raises(StorageError, match="model: Input/output error"):
        await read(path, 10)
