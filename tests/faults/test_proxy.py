# SPDX-License-Identifier: Apache-2.0
"""The proxy does what it says, to bytes that nobody understands."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.proxy import Proxy
from tests.faults.weather import Weather


@pytest.fixture
def echo() -> Iterator[str]:
    """A server that says what it hears."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def connected(proxy: Proxy) -> socket.socket:
    host, _, port = proxy.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def asked(line: socket.socket, text: bytes = b"hello") -> bytes:
    line.sendall(text)
    return line.recv(len(text))


def test_it_passes_on_what_comes(echo: str) -> None:
    with Proxy(echo) as proxy, connected(proxy) as line:
        assert asked(line) == b"hello"
        assert (proxy.connections, proxy.bytes_up()) == (1, 5)


def test_a_partition_delays_and_loses_nothing(echo: str) -> None:
    with Proxy(echo) as proxy, connected(proxy) as line:
        assert asked(line) == b"hello"
        proxy.set(held=True)
        line.sendall(b"later")
        line.settimeout(0.3)
        with pytest.raises(TimeoutError):
            line.recv(5)
        proxy.set(held=False)
        line.settimeout(5)
        assert line.recv(5) == b"later"


@pytest.mark.parametrize("takes", [True, False])
def test_a_half_open_connection_stays_silent_and_a_new_one_works(echo: str, takes: bool) -> None:
    with Proxy(echo) as proxy, connected(proxy) as old:
        assert asked(old) == b"hello"
        proxy.abandon(takes=takes)
        old.sendall(b"lost")
        old.settimeout(0.3)
        with pytest.raises(TimeoutError):
            old.recv(4)
        with connected(proxy) as new:
            assert asked(new) == b"hello"


def test_a_reset_is_told(echo: str) -> None:
    with Proxy(echo) as proxy, connected(proxy) as line:
        assert asked(line) == b"hello"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            line.recv(1)
        proxy.refuse(refusing=True)
        with connected(proxy) as refused:
            assert not received(refused), "it is closed, in order or not"


def received(line: socket.socket) -> bytes:
    try:
        return line.recv(1)
    except ConnectionResetError:
        return b""


def test_replies_are_swallowed_while_requests_pass(echo: str) -> None:
    with Proxy(echo) as proxy, connected(proxy) as line:
        assert asked(line) == b"hello"
        proxy.set(swallows_replies=True)
        line.sendall(b"unheard")
        line.settimeout(0.3)
        with pytest.raises(TimeoutError):
            line.recv(1)
        assert proxy.bytes_up() == 12


def test_it_drops_after_so_many_bytes_of_reply(echo: str) -> None:
    with Proxy(echo, Weather(drops_after=5)) as proxy, connected(proxy) as line:
        assert asked(line) == b"hello"
        line.sendall(b"more")
        with pytest.raises(ConnectionResetError):
            line.recv(4)


def test_rate_delay_and_slices_take_their_time(echo: str) -> None:
    weather = Weather(rate=10_000, delay=0.02, slice=500)
    with Proxy(echo, weather) as proxy, connected(proxy) as line:
        begun, got = time.monotonic(), 0
        line.sendall(bytes(2000))
        while got < 2000:
            got += len(line.recv(2000))
        # 2000 bytes at 10 kB/s take 0.2 s, and the line is 20 ms long each way.
        assert time.monotonic() - begun >= 0.2 + 2 * 0.02


def test_requests_may_be_slower_than_replies() -> None:
    weather = Weather(rate=2_000, rate_up=1_000)
    assert [weather.rate_of(is_reply=is_reply) for is_reply in (True, False)] == [2_000, 1_000]
    assert Weather(rate=2_000).rate_of(is_reply=False) == 2_000
