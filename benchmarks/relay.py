# SPDX-License-Identifier: Apache-2.0
"""A relay in front of a server that counts the bytes of every connection, whatever they mean."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK: Final = 1 << 18


@dataclass(slots=True)
class Counted:
    """What went through a relay.

    Attributes:
        target: Where to call it, as HOST:PORT.
        down: Bytes that the server sent.
        up: Bytes that it was sent.
    """

    target: str
    down: int = 0
    up: int = 0


@contextmanager
def counting(server: str) -> Iterator[Counted]:
    """Pass connections on to a server, and count what they carry.

    Args:
        server: Where it listens, as HOST:PORT.

    Yields:
        Where to call instead of it, and the counts so far.
    """
    host, _, port = server.rpartition(":")
    lock, threads = threading.Lock(), list[threading.Thread]()
    with ExitStack() as sockets, socket.create_server(("127.0.0.1", 0)) as listener:
        counted = Counted(f"127.0.0.1:{listener.getsockname()[1]}")

        def carry(source: socket.socket, target: socket.socket, way: str) -> None:
            with suppress(OSError):  # the other way has closed it
                while data := source.recv(_BLOCK):
                    with lock:
                        setattr(counted, way, getattr(counted, way) + len(data))
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)

        def accept() -> None:
            with suppress(OSError):  # nobody listens any more
                while True:
                    near = sockets.enter_context(listener.accept()[0])
                    far = sockets.enter_context(socket.create_connection((host, int(port))))
                    for ends in ((near, far, "up"), (far, near, "down")):
                        threads.append(threading.Thread(target=carry, args=ends, daemon=True))
                        threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield counted
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join(10)  # whoever called has ended by now
