# SPDX-License-Identifier: Apache-2.0
"""A gRPC server of the wire's own, around whatever a test lets answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mmar_runner.wire.binding import bind
from mmar_runner.wire.gate import Gate
from mmar_runner.wire.server import build_server
from mmar_runner.wire.servicer import FederationServicer
from tests.open_gate import OpenGate


class Nobody(FederationServicer):
    """Answers what clients of a federation ask: nobody does."""

    async def register(self, request, peer):
        raise AssertionError

    quit = heartbeat = send_result = submit_update = register

    def get_model(self, request, peer):
        raise AssertionError


@asynccontextmanager
async def served(
    servicer: Any,
    gate: Gate | None = None,
    *,
    at: str = "127.0.0.1:0",
    credentials: Any = None,
    **options: Any,
) -> AsyncIterator[str]:
    """Serve until the block's end; yield the address.

    Args:
        servicer: Answers the calls of clients.
        gate: Who is let in; without one, everybody.
        at: Where it listens.
        credentials: For TLS; without any, plain text.
        options: As for `build_server`.
    """
    server = build_server(servicer, gate or OpenGate(), **options)
    address = bind(server, at, credentials=credentials)
    await server.start()
    try:
        yield address
    finally:
        await server.stop(0)
