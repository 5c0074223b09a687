# SPDX-License-Identifier: Apache-2.0
"""A client of HTTP/2 as no library speaks it: half messages, and windows that stay shut."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from typing import Any, Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
#: A setting: how much a peer may send on a stream before it is given more.
INITIAL_WINDOW_SIZE = 4
_LARGEST_FRAME = 16_384
_ACK = END_STREAM = 1
_END_HEADERS = 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame."""
    head = struct.pack(">I", len(payload))[1:] + bytes([kind, flags])
    return head + struct.pack(">I", stream) + payload


class RawHttp2:
    """One connection over mutual TLS. Use it as a context manager.

    Args:
        address: The server, ``host:port``.
        tls: What is shown.
        settings: Ours, by number.
    """

    def __init__(self, address: str, tls: Any, settings: dict[int, int] | None = None) -> None:
        host, _, port = address.rpartition(":")
        context = ssl.create_default_context(cafile=str(tls.root))
        context.load_cert_chain(tls.cert, tls.key)
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection((host, int(port)), 10)
        self._socket = context.wrap_socket(plain, server_hostname="localhost")
        self._streams: dict[int, int] = {}
        self._initial = self._window = 65_535
        self._received = b""
        self.ended = False
        ours = b"".join(struct.pack(">HI", *one) for one in (settings or {}).items())
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0, ours))
        self.listen(0.2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def call(self, path: str) -> int:
        """Begin a call and return its stream."""
        stream = 2 * len(self._streams) + 1
        self._streams[stream] = self._initial
        fields = {
            ":method": "POST",
            ":scheme": "https",
            ":path": path,
            ":authority": "localhost",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        head = b"".join(_literal(name, value) for name, value in fields.items())
        self._put(frame(HEADERS, _END_HEADERS, stream, head))
        return stream

    def send(self, stream: int, data: bytes, seconds: float = 2.0) -> int:
        """Send as the server's windows allow; return how many bytes went."""
        sent, until = 0, time.monotonic() + seconds
        while sent < len(data) and time.monotonic() < until and not self.ended:
            room = min(len(data) - sent, self._window, self._streams[stream], _LARGEST_FRAME)
            if room <= 0:
                self.listen(0.05)
                continue
            self._put(frame(DATA, 0, stream, data[sent : sent + room]))
            sent += room
            self._window -= room
            self._streams[stream] -= room
        return sent

    def finish(self, stream: int) -> None:
        """Say that no more will come on a stream."""
        self._put(frame(DATA, END_STREAM, stream))

    def listen(self, seconds: float) -> list[tuple[int, int]]:
        """Take what the server says meanwhile; return kind and stream of its frames."""
        heard, until = [], time.monotonic() + seconds
        while not self.ended and self._readable(until - time.monotonic()):
            try:
                data = self._socket.recv(1 << 16)
            except OSError:
                data = b""
            self.ended = not data
            self._received += data
            heard += self._frames()
        return heard

    def _put(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:  # the server has had enough
            self.ended = True

    def _readable(self, seconds: float) -> bool:
        if self._socket.pending():
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def _frames(self) -> list[tuple[int, int]]:
        heard = []
        while len(self._received) >= 9:
            length = int.from_bytes(self._received[:3], "big")
            if len(self._received) < 9 + length:
                break
            kind, flags = self._received[3], self._received[4]
            stream = int.from_bytes(self._received[5:9], "big") & 0x7FFF_FFFF
            payload, self._received = self._received[9 : 9 + length], self._received[9 + length :]
            self._take(kind, flags, stream, payload)
            heard.append((kind, stream))
        return heard

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & _ACK:
            theirs = dict(struct.iter_unpack(">HI", payload))
            more = theirs.get(INITIAL_WINDOW_SIZE, self._initial) - self._initial
            self._initial += more
            self._streams = {one: window + more for one, window in self._streams.items()}
            self._put(frame(SETTINGS, _ACK, 0))
        elif kind == PING and not flags & _ACK:
            self._put(frame(PING, _ACK, 0, payload))
        elif kind == WINDOW:
            size = int.from_bytes(payload, "big")
            if stream:
                self._streams[stream] += size
            else:
                self._window += size


def _literal(name: str, value: str) -> bytes:
    """Return a field of HPACK that is written out, and not remembered."""
    parts = (name.encode(), value.encode())
    return b"\0" + b"".join(bytes([len(part)]) + part for part in parts)
