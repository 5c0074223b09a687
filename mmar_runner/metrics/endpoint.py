# SPDX-License-Identifier: Apache-2.0
"""Answers scrapes over HTTP on loopback, from a thread of its own.

One scrape after the other: a monitoring system asks now and then, and one that is slow costs
the next one five seconds, and the run nothing.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import InUseError
from mmar_runner.metrics.registry import TEXT_TYPE

if TYPE_CHECKING:
    from typing import Self

    from mmar_runner.metrics.registry import Registry

_log = logging.getLogger(__name__)

#: The only path that is there.
PATH: Final = "/metrics"
#: How long a scrape may be silent, in seconds.
SILENT_SECONDS: Final = 5.0
#: How long the thread may take to end, and pauses if no file can be opened, in seconds.
_END_SECONDS: Final = 1.0


class MetricsEndpoint:
    """Listens as soon as it is made; answers within its ``with`` block.

    Args:
        registry: What is told.
        host: A name or address of loopback.
        port: The port; 0 picks a free one.

    Raises:
        InUseError: The address cannot be bound.
    """

    def __init__(self, registry: Registry, host: str, port: int) -> None:
        bare = host.strip("[]")
        try:
            found = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM)
            self._server = _Server(registry, found[0][0], found[0][4])
        except OSError as error:
            msg = f"metrics cannot be served on {host}:{port}: {error.strerror or error}"
            raise InUseError(msg, hint="give --metrics another port; 0 picks a free one") from error
        self.address = f"{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, whatever a scrape is at."""
        self._server.ending.set()
        self._server.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._thread.join(_END_SECONDS)
        self._server.server_close()

    def _serve(self) -> None:
        while not self._server.ending.is_set():
            self._server.handle_request()


class _Server(socketserver.TCPServer):
    allow_reuse_address = True

    def __init__(self, registry: Registry, family: int, address: Any) -> None:
        self.registry = registry
        self.ending = threading.Event()
        self.address_family = family
        super().__init__(address, _Scrape)

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:
            self.ending.wait(_END_SECONDS)  # no open file is left: whoever waits, waits on
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Go on: whoever asked has gone, or was too slow."""
        del request, client_address
        _log.debug("a scrape was not answered", exc_info=sys.exception())


class _Scrape(BaseHTTPRequestHandler):
    server: _Server
    timeout = SILENT_SECONDS

    def do_GET(self) -> None:
        """Answer a scrape."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer with the head alone."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND, explain=f"metrics are at {PATH}")
            return
        text = self.server.registry.text()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", TEXT_TYPE)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if with_body:
            self.wfile.write(text)

    def version_string(self) -> str:
        """Say no versions to strangers: `mmar_build_info` has them."""
        return "mmar-runner"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Write to the log and not to standard error."""
        _log.debug(format, *args)
