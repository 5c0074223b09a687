# SPDX-License-Identifier: Apache-2.0
"""Which services of a server can be used now, for whoever looks after it.

The messages are those of the library for gRPC's health service. Its servicer is not used: it
tells all watchers under one lock, so that one that reads nothing could keep the server itself
waiting, and it takes any number of them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import printable
from mmar_runner.errors import RefusedError
from mmar_runner.wire.messages import HealthCheckResponse
from mmar_runner.wire.servicer import HealthServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import HealthCheckRequest

#: Calls that may be held to hear of changes, of everybody together.
MOST_WATCHES: Final = 64
#: The service that is the server as a whole: it answers, so it is there.
WHOLE: Final = ""
#: Letters of a name that nobody knows, in the sentence that says so.
_SHOWN: Final = 80


class Health(HealthServicer):
    """Answers whether services can be used. Used from the event loop.

    Args:
        services: Their full names; none can be used until `set` says so.
    """

    def __init__(self, *services: str) -> None:
        self._status: dict[str, int]
        self._status = dict.fromkeys(services, HealthCheckResponse.NOT_SERVING)
        self._status[WHOLE] = HealthCheckResponse.SERVING
        self._changed = asyncio.Event()
        self._watching: set[asyncio.Task[object]] = set()
        self._closed = False

    def set(self, service: str, *, serving: bool) -> None:
        """Say whether a service can be used now; everybody who watches hears of a change."""
        wanted = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
        if not self._closed and self._status[service] != wanted:
            self._status[service] = wanted
            self._notify()

    def close(self) -> None:
        """Say that the server ends: nothing can be used any more, and nobody need watch on."""
        self._closed = True
        self._status = dict.fromkeys(self._status, HealthCheckResponse.NOT_SERVING)
        self._notify()

    async def check(self, request: HealthCheckRequest, peer: Peer) -> HealthCheckResponse:
        """Say whether a service can be used.

        Raises:
            RefusedError: SERVICE_UNKNOWN.
        """
        del peer
        status = self._status.get(request.service)
        if status is None:
            known = ", ".join(name or '""' for name in sorted(self._status))
            msg = f"no service {printable(request.service[:_SHOWN])!r} can be asked for here"
            raise RefusedError(msg, reason="SERVICE_UNKNOWN", hint=f"there are: {known}")
        return HealthCheckResponse(status=status)

    async def watch(
        self, request: HealthCheckRequest, peer: Peer
    ) -> AsyncIterator[HealthCheckResponse]:
        """Say it, and again whenever that changes, until the server ends.

        Of several changes at once whoever reads slowly hears the last one.

        Raises:
            RefusedError: TOO_MANY_CALLS.
        """
        del peer
        self._count_watch()
        told: int | None = None
        while True:
            changed, closed = self._changed, self._closed
            unknown = HealthCheckResponse.SERVICE_UNKNOWN
            status = self._status.get(request.service, unknown)
            if status != told:
                told = status
                yield HealthCheckResponse(status=status)
            if closed:
                return
            await changed.wait()

    def _count_watch(self) -> None:
        if len(self._watching) >= MOST_WATCHES:
            msg = f"{MOST_WATCHES} calls of Watch are held here already"
            raise RefusedError(msg, reason="TOO_MANY_CALLS", hint="ask by Check now and then")
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a call is a task
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
