# SPDX-License-Identifier: Apache-2.0
"""Answers the calls of clients by handing each to the part that knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.errors import RefusedError
from mmar_runner.wire.limits import INLINE_BYTES
from mmar_runner.wire.messages import HeartbeatReply, QuitReply, RegisterReply, ResultReply
from mmar_runner.wire.server import FederationServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mmar_runner.server.coordinator import Coordinator
    from mmar_runner.server.downloads import Downloads
    from mmar_runner.server.members import Members
    from mmar_runner.server.reception import Reception
    from mmar_runner.server.results import ResultDesk
    from mmar_runner.wire.codec import SentModelItem
    from mmar_runner.wire.messages import (
        GetModelRequest,
        HeartbeatRequest,
        QuitRequest,
        RegisterRequest,
        ResultRequest,
    )
    from mmar_runner.wire.server import UpdateStream


class Servicer(FederationServicer):
    """One run's answers.

    Args:
        welcome: What every client is told at Register; its token is added.
        coordinator: Knows the rounds.
        members: Knows the clients.
        downloads: Sends models.
        reception: Takes updates.
        results: Has results processed.
    """

    def __init__(
        self,
        welcome: RegisterReply,
        *,
        coordinator: Coordinator,
        members: Members,
        downloads: Downloads,
        reception: Reception,
        results: ResultDesk,
    ) -> None:
        self._welcome = welcome
        self._coordinator = coordinator
        self._members = members
        self._downloads = downloads
        self._reception = reception
        self._results = results

    async def register(self, request: RegisterRequest) -> RegisterReply:
        """Join the run."""
        if (ended := self._coordinator.outcome()) is not None:
            why = f": {ended.reason}" if ended.reason else ""
            msg = f"the run has {ended.status}{why}"
            # A stopped run goes on when the server is back, so its clients come again.
            stopped = ended.status == "stopped"
            raise RefusedError(msg, reason="SERVER_STOPPING" if stopped else "RUN_OVER")
        reply = RegisterReply()
        reply.CopyFrom(self._welcome)
        reply.token = self._members.register(request)
        reply.lease_seconds = self._members.lease_seconds
        reply.result_topics.extend(self._results.topics)
        reply.inline_bytes = INLINE_BYTES
        reply.current_round = self._coordinator.current_round()
        return reply

    async def quit(self, request: QuitRequest) -> QuitReply:
        """Leave the run."""
        self._members.quit(request.token, request.comment)
        self._downloads.client_left()
        return QuitReply()

    async def heartbeat(self, request: HeartbeatRequest) -> HeartbeatReply:
        """Renew a lease."""
        self._members.heard(request.token, request.state)
        return HeartbeatReply(
            lease_seconds=self._members.lease_seconds,
            current_round=self._coordinator.current_round(),
        )

    def get_model(self, request: GetModelRequest) -> AsyncIterator[SentModelItem]:
        """Send a model when there is one to give."""
        return self._downloads.get_model(request)

    async def submit_update(self, stream: UpdateStream) -> None:
        """Receive one update."""
        await self._reception.submit(stream)

    async def send_result(self, request: ResultRequest) -> ResultReply:
        """Process a result."""
        client = self._members.authenticate(request.token)
        reply = await self._results.process(client.name, request.topic, request.result)
        return ResultReply(reply=reply)
