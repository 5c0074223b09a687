# SPDX-License-Identifier: Apache-2.0
"""A line that carries so many bytes a second, late: all that a connection sends queues in it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Self

_PORTION = 4096
_PORTIONS_UNDER_WAY = 64


class SlowLine:
    """Listens on a free port of loopback and passes bytes on. Use it as a context manager.

    Args:
        server: ``host:port`` where bytes go.
        rate: Bytes a second, each way, of all connections together.
        delay: Seconds that every byte takes besides.

    Attributes:
        connections: How many there were so far.
    """

    def __init__(self, server: str, *, rate: float, delay: float) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._rate = rate
        self._delay = delay
        self._free = [0.0, 0.0]
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slow-line")
        self._open: set[asyncio.Task[Any]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.start_server(self._connected, "127.0.0.1", 0, limit=2 * _PORTION)
        self._listener = self._wait(listening)
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def address(self) -> str:
        """``host:port`` that clients use in place of the server's."""
        return f"127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _close(self) -> None:
        self._listener.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            down, up = await asyncio.open_connection(*self._server, limit=2 * _PORTION)
        except OSError:
            writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, up, 0))
                group.create_task(self._carry(down, writer, 1))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            up.transport.abort()
            writer.transport.abort()
            self._open.discard(task)

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: int
    ) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PORTIONS_UNDER_WAY)
        arriving = asyncio.create_task(self._arrive(queue, sink))
        try:
            while data := await source.read(_PORTION):
                now = self._loop.time()
                self._free[way] = max(self._free[way], now) + len(data) / self._rate
                await asyncio.sleep(self._free[way] - now)
                await queue.put((self._loop.time() + self._delay, data))
            await queue.put((0.0, b""))
            await arriving  # what is under way still arrives
        finally:
            arriving.cancel()
        raise ConnectionResetError  # the one side has closed: so does the other

    async def _arrive(
        self, queue: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter
    ) -> None:
        while True:
            due, data = await queue.get()
            if not data:
                return
            await asyncio.sleep(due - self._loop.time())
            sink.write(data)
            await sink.drain()
