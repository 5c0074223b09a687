# SPDX-License-Identifier: Apache-2.0
"""Client channels, with the options that make reconnection quick and memory flat."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import grpc
import grpc.aio

from mmar_runner.wire import limits
from mmar_runner.wire.keepalive import keepalive

_CLIENT_OPTIONS: Final = (
    ("grpc.max_receive_message_length", limits.MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", limits.MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 200),
    # In spite of its name, the time that one attempt to connect may take, TLS included: a
    # busy server or a slow line needs more than the pauses between attempts.
    ("grpc.min_reconnect_backoff_ms", limits.CONNECT_TIMEOUT_MS),
    # Nobody waits for a server that is back: the next round needs every session.
    ("grpc.max_reconnect_backoff_ms", limits.RECONNECT_MS),
    # A window that follows the bandwidth estimate lets gRPC's buffers grow with slow
    # readers: a fixed one keeps memory flat at the same speed.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", limits.LOOKAHEAD_BYTES),
    ("grpc.enable_http_proxy", 0),
    # Every channel has a connection of its own: sessions that share a process must not
    # share a connection, whose number of streams is limited.
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(
    target: str,
    *,
    credentials: grpc.ChannelCredentials | None = None,
    expected_name: str | None = None,
) -> grpc.aio.Channel:
    """Open a channel to ``host:port`` or ``unix:/path``; it connects at the first call.

    Args:
        target: Where the server listens.
        credentials: TLS credentials; None speaks plain text, which the command line
            allows on loopback only.
        expected_name: What the server's certificate must name, if not the target's host.
    """
    options: list[tuple[str, int | str]] = [*_CLIENT_OPTIONS, *keepalive(target)]
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    if expected_name is not None:
        options.append(("grpc.ssl_target_name_override", expected_name))
    return grpc.aio.secure_channel(target, credentials, options=options)


#: The part of a pause that is kept whatever happens: a server that takes connections only to
#: drop them is not called over and over.
_LEAST_OF_PAUSE: Final = 0.1


class Connectivity:
    """Keeps a channel connected, and tells when it is so again. Needs a running event loop.

    Args:
        channel: Whose connection it is.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._connected = asyncio.Event()
        self._watching = asyncio.create_task(self._watch())

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, as far as it is known."""
        return self._connected.is_set()

    async def pause(self, seconds: float) -> None:
        """Wait so many seconds, or until a connection that is not there comes about."""
        if self._connected.is_set():
            await asyncio.sleep(seconds)
            return
        least = seconds * _LEAST_OF_PAUSE
        await asyncio.sleep(least)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds - least):
                await self._connected.wait()

    async def close(self) -> None:
        """Watch no more; to be called before the channel is closed."""
        self._watching.cancel()
        await asyncio.wait({self._watching})

    async def _watch(self) -> None:
        state = self._channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.SHUTDOWN:
            if state is grpc.ChannelConnectivity.READY:
                self._connected.set()
            else:
                self._connected.clear()
            await self._channel.wait_for_state_change(state)
            state = self._channel.get_state(try_to_connect=True)
