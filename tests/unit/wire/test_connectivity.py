# SPDX-License-Identifier: Apache-2.0
"""A pause between two attempts ends when the server is back, and only then."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import grpc.aio

from mmar_runner.testing.processes import free_port
from mmar_runner.wire.channel import Connectivity, open_channel

FAR = 10.0  # a pause that no test sits out


@contextlib.asynccontextmanager
async def connectivity(port: int) -> AsyncIterator[Connectivity]:
    channel = open_channel(f"127.0.0.1:{port}")
    watched = Connectivity(channel)
    try:
        yield watched
    finally:
        await watched.close()
        await channel.close(None)


@contextlib.asynccontextmanager
async def server(port: int) -> AsyncIterator[None]:
    running = grpc.aio.server()
    running.add_insecure_port(f"127.0.0.1:{port}")
    await running.start()
    try:
        yield
    finally:
        await running.stop(0)


async def _seconds(pause: float, watched: Connectivity) -> float:
    began = time.monotonic()
    await watched.pause(pause)
    return time.monotonic() - began


def test_a_pause_ends_when_the_server_is_back() -> None:
    async def scene() -> float:
        port = free_port()
        async with connectivity(port) as watched:
            pausing = asyncio.create_task(_seconds(FAR, watched))
            await watched.pause(0.1)  # nobody is there yet, and the long pause has begun
            async with server(port):
                return await pausing

    assert asyncio.run(scene()) < FAR / 2


def test_a_pause_on_a_line_that_is_up_lasts_its_time() -> None:
    async def scene() -> float:
        port = free_port()
        async with server(port), connectivity(port) as watched:
            await watched.pause(FAR)  # ends once the line is up
            return await _seconds(0.2, watched)

    assert asyncio.run(scene()) >= 0.2


def test_a_pause_without_a_server_lasts_its_time() -> None:
    async def scene() -> float:
        async with connectivity(free_port()) as watched:
            return await _seconds(0.3, watched)

    assert asyncio.run(scene()) >= 0.25


def test_a_part_of_a_pause_is_kept_although_the_line_comes_up_at_once() -> None:
    """A server that takes connections only to drop them is not called over and over."""

    async def scene() -> float:
        port = free_port()
        async with server(port), connectivity(port) as watched:
            return await _seconds(5.0, watched)

    assert 0.5 <= asyncio.run(scene()) < 5.0
