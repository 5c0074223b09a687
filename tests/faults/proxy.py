# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy of our own: what networks do to connections, without root.

It passes bytes on and understands none of them, so that it works with TLS as with plain
text. Requests go up, from a client to the server; replies come down.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Self, TypeVar

from tests.faults.weather import Pair, Weather

_T = TypeVar("_T")

#: Portions that are between the two sides at most: what a long line holds.
_PORTIONS_UNDER_WAY = 64


class Proxy:
    """Listens on a free port of loopback; a thread of its own moves the bytes.

    Use it as a context manager.

    Args:
        server: ``host:port`` of the server.
        weather: Of connections that come from now on.
    """

    def __init__(self, server: str, weather: Weather | None = None) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._host = host
        self._weather = weather or Weather()
        # What waits before the line is part of it: a short line has little there.
        self._limit = self._weather.slice
        self._pairs: dict[int, Pair] = {}
        self._count = 0
        self._refusing = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.start_server(self._connected, "127.0.0.1", 0, limit=self._limit)
        self._listener = self._wait(listening)
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def address(self) -> str:
        """``host:port`` that clients use in place of the server's; the host is the same name."""
        return f"{self._host}:{self._listener.sockets[0].getsockname()[1]}"

    @property
    def connections(self) -> int:
        """How many connections there were so far."""
        return self._count

    def bytes_up(self) -> int:
        """Return how many bytes went up over the connections that are open."""
        return self._call(lambda: sum(pair.went_up for pair in self._pairs.values()))

    def set(self, *, newcomers: bool = True, **changes: Any) -> None:
        """Change the weather of all connections that are open.

        Args:
            newcomers: Whether connections that come later have it too.
            changes: Fields of `Weather`.
        """

        def change() -> None:
            for pair in self._pairs.values():
                pair.weather = replace(pair.weather, **changes)
                pair.changed.set()
            if newcomers:
                self._weather = replace(self._weather, **changes)

        self._call(change)

    def abandon(self, *, takes: bool) -> None:
        """Pass nothing on for ever, without a word; connections that come later work.

        Args:
            takes: Whether bytes are taken and thrown away; else their sender keeps them.
        """
        changes = {"swallows_replies": takes, "swallows_requests": takes, "held": not takes}
        self.set(newcomers=False, **changes)

    def drop_after(self, count: int) -> None:
        """Reset every connection that is open once ``count`` more bytes of reply came."""

        def change() -> None:
            for pair in self._pairs.values():
                pair.weather = replace(pair.weather, drops_after=pair.came_down + count)

        self._call(change)

    def reset(self) -> None:
        """Reset every connection that is open; both sides are told."""
        self._call(lambda: [pair.reset() for pair in list(self._pairs.values())])

    def refuse(self, *, refusing: bool) -> None:
        """Reset whoever comes, or stop doing so."""
        self._call(lambda: setattr(self, "_refusing", refusing))

    # In the proxy's own thread

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        try:
            if self._refusing:
                raise ConnectionRefusedError
            down, up = await asyncio.open_connection(*self._server, limit=self._limit)
        except OSError:
            writer.transport.abort()
            return
        pair = Pair(self._count, writer, up, self._weather)
        self._pairs[pair.number] = pair
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._move(pair, reader, up, is_reply=False))
                group.create_task(self._move(pair, down, writer, is_reply=True))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._pairs.pop(pair.number, None)
            for each in (writer, up):
                each.transport.abort() if pair.changed.is_set() else each.close()

    async def _move(
        self,
        pair: Pair,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        *,
        is_reply: bool,
    ) -> None:
        """Take bytes in as fast as the rate allows; give them out after the delay."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PORTIONS_UNDER_WAY)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._give_out(pair, under_way, sink, is_reply=is_reply))
            while part := await source.read(pair.weather.slice):
                if rate := pair.weather.rate_of(is_reply=is_reply):
                    await asyncio.sleep(len(part) / rate)
                await under_way.put((self._loop.time() + pair.weather.delay, part))
            await under_way.put((0, b""))

    async def _give_out(
        self,
        pair: Pair,
        under_way: asyncio.Queue[tuple[float, bytes]],
        sink: asyncio.StreamWriter,
        *,
        is_reply: bool,
    ) -> None:
        while True:
            due, part = await under_way.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            while pair.weather.held:
                pair.changed.clear()
                await pair.changed.wait()
            if not part:
                raise ConnectionResetError  # the one side has closed: so does the other
            if is_reply:
                swallowed = self._swallowed(pair, len(part))
            else:
                swallowed = pair.weather.swallows_requests
            if not swallowed:
                sink.write(part)
                await sink.drain()
                pair.went_up += 0 if is_reply else len(part)

    @staticmethod
    def _swallowed(pair: Pair, size: int) -> bool:
        pair.came_down += size
        if 0 <= pair.weather.drops_after < pair.came_down:
            pair.reset()
            raise ConnectionResetError
        return pair.weather.swallows_replies

    async def _close(self) -> None:
        self._listener.close()
        for pair in list(self._pairs.values()):
            pair.reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    # From other threads

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _call(self, function: Callable[[], _T]) -> _T:
        done: Future[_T] = Future()

        def run() -> None:
            try:
                done.set_result(function())
            except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result()
