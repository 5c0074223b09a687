# SPDX-License-Identifier: Apache-2.0
"""Hands in what a site's filters exchange with those of other sites, and brings the answers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from mmar_runner.errors import ProtocolError
from mmar_runner.wire.limits import MAX_EXCHANGE_BYTES
from mmar_runner.wire.messages import ExchangeReply, ExchangeRequest

if TYPE_CHECKING:
    from mmar_runner.client.connection.connection import Connection
    from mmar_runner.wire.stub import FederationStub

#: Takes a round and a child's question, and returns what the child is answered.
ExchangeCall: TypeAlias = Callable[[int, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class Exchanges:
    """Carries the payloads of one run.

    Args:
        connection: To the server.
        run_number: The run.
    """

    def __init__(self, connection: Connection, run_number: int) -> None:
        self._connection = connection
        self._run_number = run_number

    async def carry(self, round_number: int, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """Hand in what a filter's child asks to, and return the answer for it.

        It takes as long as the others do. A connection that breaks meanwhile costs nothing: the
        same payload is handed in again.

        Args:
            round_number: The round.
            question: ``topic``, ``phase`` and ``payload`` (base64).

        Raises:
            ProtocolError: It is no such question, or too large.
            RefusedError: The server refuses it, for the protocol's reasons or others.
        """
        request = self._request(round_number, question)

        async def hand_in(stub: FederationStub, token: str) -> ExchangeReply:
            request.token = token
            return await stub.exchange(request)

        reply = await self._connection.call(hand_in)
        return {"payload": base64.b64encode(reply.payload).decode()}

    def _request(self, round_number: int, question: Mapping[str, Any]) -> ExchangeRequest:
        try:
            payload = base64.b64decode(question["payload"], validate=True)
            request = ExchangeRequest(
                run_number=self._run_number,
                round=round_number,
                topic=question["topic"],
                phase=question["phase"],
                payload=payload,
            )
        except (LookupError, TypeError, ValueError, binascii.Error) as error:
            msg = f"a filter hands in what is no payload of a phase: {error}"
            raise ProtocolError(msg) from error
        if len(payload) > MAX_EXCHANGE_BYTES:
            msg = f"a payload of {len(payload)} bytes, and {MAX_EXCHANGE_BYTES} are the most"
            raise ProtocolError(msg, reason="TOO_LARGE")
        return request
