# SPDX-License-Identifier: Apache-2.0
"""Answers the calls of clients by handing each to the part that knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.errors import RefusedError
from mmar_runner.server.calls.agreement import require_agreement
from mmar_runner.wire.limits import INLINE_BYTES, MAX_EXCHANGE_BYTES
from mmar_runner.wire.messages import (
    ExchangeReply,
    HeartbeatReply,
    QuitReply,
    RegisterReply,
    ResultReply,
)
from mmar_runner.wire.servicer import FederationServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mmar_runner.security.pki.followed import Revocations
    from mmar_runner.server.calls.downloads import Downloads
    from mmar_runner.server.calls.reception import Reception
    from mmar_runner.server.components.results import ResultDesk
    from mmar_runner.server.cross_site.best_models import BestModels
    from mmar_runner.server.cross_site.models_out import ModelsToValidate
    from mmar_runner.server.members.members import Members
    from mmar_runner.server.rounds.assignments import Assignments
    from mmar_runner.server.rounds.exchange_desk import ExchangeDesk
    from mmar_runner.wire.codec import SentModelItem
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import (
        CrossSiteResult,
        CrossSiteResultReply,
        ExchangeRequest,
        GetModelRequest,
        GetValidationModelsRequest,
        HeartbeatRequest,
        QuitRequest,
        RegisterRequest,
        ResultRequest,
    )
    from mmar_runner.wire.servicer import UpdateStream


class Servicer(FederationServicer):
    """One run's answers.

    Args:
        welcome: What every client is told at Register; its token is added.
        assignments: Know the open round, and the run's end.
        members: Knows the clients.
        downloads: Sends models.
        reception: Takes updates.
        results: Has results processed.
        best_models: Takes best local models.
        to_validate: Sends models to validate, and takes what they are worth.
        exchange: Holds what clients exchange.
        revocations: What is revoked, if the project has certificates.
    """

    def __init__(
        self,
        welcome: RegisterReply,
        *,
        assignments: Assignments,
        members: Members,
        downloads: Downloads,
        reception: Reception,
        results: ResultDesk,
        best_models: BestModels,
        to_validate: ModelsToValidate,
        exchange: ExchangeDesk,
        revocations: Revocations | None = None,
    ) -> None:
        self._welcome = welcome
        self._assignments = assignments
        self._members = members
        self._downloads = downloads
        self._reception = reception
        self._results = results
        self._best_models = best_models
        self._to_validate = to_validate
        self._exchange = exchange
        self._revocations = revocations

    async def register(self, request: RegisterRequest, peer: Peer) -> RegisterReply:
        """Join the run; one that was killed as it ended is let in again, to hear how."""
        ended = self._assignments.outcome()
        if ended is not None and request.client_name not in self._members.present():
            why = f": {ended.reason}" if ended.reason else ""
            raise RefusedError(f"the run has {ended.status}{why}", reason="RUN_OVER")
        require_agreement(self._welcome, request)
        reply = RegisterReply()
        reply.CopyFrom(self._welcome)
        reply.token = self._members.register(request, peer)
        reply.token_seconds = self._members.token_seconds
        reply.lease_seconds = self._members.lease_seconds
        reply.result_topics.extend(self._results.topics)
        reply.inline_bytes = INLINE_BYTES
        reply.current_round = self._assignments.round_number()
        reply.revocations = self._newer_revocations(request.revocations_version)
        return reply

    async def quit(self, request: QuitRequest, peer: Peer) -> QuitReply:
        """Leave the run."""
        self._members.quit(request.token, request.comment, peer)
        self._downloads.client_left()
        return QuitReply()

    async def heartbeat(self, request: HeartbeatRequest, peer: Peer) -> HeartbeatReply:
        """Renew a lease."""
        token = self._members.heard(
            request.token,
            request.state,
            peer,
            steps=(request.step, request.steps),
            round_number=request.round,
            below=request.below,
        )
        return HeartbeatReply(
            token=token,
            revocations=self._newer_revocations(request.revocations_version),
            lease_seconds=self._members.lease_seconds,
            current_round=self._assignments.round_number(),
        )

    def get_model(self, request: GetModelRequest, peer: Peer) -> AsyncIterator[SentModelItem]:
        """Send a model when there is one to give."""
        return self._downloads.get_model(request, peer)

    async def submit_update(self, stream: UpdateStream, peer: Peer) -> None:
        """Receive one update."""
        await self._reception.submit(stream, peer)

    async def submit_best_local_model(self, stream: UpdateStream, peer: Peer) -> None:
        """Receive a client's best local model."""
        await self._best_models.submit(stream, peer)

    def get_validation_models(
        self, request: GetValidationModelsRequest, peer: Peer
    ) -> AsyncIterator[SentModelItem]:
        """Send the next model that a client is to validate."""
        return self._to_validate.get(request, peer)

    async def submit_cross_site_result(
        self, request: CrossSiteResult, peer: Peer
    ) -> CrossSiteResultReply:
        """Hear what a model is worth on a client's data."""
        return await self._to_validate.take(request, peer)

    async def exchange(self, request: ExchangeRequest, peer: Peer) -> ExchangeReply:
        """Hold a payload until its phase is complete."""
        client = self._members.authenticate(request.token, peer)
        if request.run_number != self._welcome.run_number:
            msg = f"this is run {self._welcome.run_number}, not run {request.run_number}"
            raise RefusedError(msg, reason="RUN_MISMATCH", hint="register again")
        if len(request.payload) > MAX_EXCHANGE_BYTES:
            msg = (
                f"a payload of {len(request.payload)} bytes, and {MAX_EXCHANGE_BYTES} are the most"
            )
            raise RefusedError(msg, reason="TOO_LARGE")
        answer = await self._exchange.post(
            client.name, request.round, request.topic, request.phase, request.payload
        )
        return ExchangeReply(payload=answer)

    async def send_result(self, request: ResultRequest, peer: Peer) -> ResultReply:
        """Process a result."""
        client = self._members.authenticate(request.token, peer)
        site = peer.fingerprint or client.name
        reply = await self._results.process(client.name, site, request.topic, request.result)
        return ResultReply(reply=reply)

    def _newer_revocations(self, version: int) -> bytes:
        if self._revocations is None or self._revocations.current.version <= version:
            return b""
        return self._revocations.signed
