# SPDX-License-Identifier: Apache-2.0
"""The call by which somebody asks a server whether a service of it can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.wire import methods
from mmar_runner.wire.messages import HealthCheckRequest, HealthCheckResponse
from mmar_runner.wire.stub import translated_call, unary_call

if TYPE_CHECKING:
    import grpc.aio


class HealthStub:
    """Asks one server over one channel.

    Args:
        channel: From `open_channel`.
        target: The server's address, for error sentences.
    """

    def __init__(self, channel: grpc.aio.Channel, target: str = "the server") -> None:
        self._target = target
        self._check = unary_call(channel, methods.HEALTH_CHECK)

    async def check(self, service: str, *, timeout: float | None = None) -> str:
        """Return what the server says of a service: ``SERVING``, ``NOT_SERVING``, ...

        Args:
            service: Its full name; empty for the server as a whole.
            timeout: How long the answer may take, in seconds.

        Raises:
            RefusedError: SERVICE_UNKNOWN, or we may not ask.
            WireError: There is no answer, or none that is understood.
        """
        call = self._check(HealthCheckRequest(service=service), timeout=timeout)
        reply = await translated_call(call, self._target)
        known = HealthCheckResponse.ServingStatus.values()
        status = reply.status if reply.status in known else HealthCheckResponse.UNKNOWN
        return str(HealthCheckResponse.ServingStatus.Name(status))
