# SPDX-License-Identifier: Apache-2.0
"""Keeping the lease: a small call of its own, which no transfer ever delays.

What changes during a run travels with it: a new token, a newer list of revocations; and
with every beat the certificate's files and the site's policy are looked at.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NoReturn

from mmar_runner.errors import AuditError, DiskFullError, RefusedError
from mmar_runner.federation.client_machine import Reaction, reaction_to
from mmar_runner.federation.leases import heartbeat_pause
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.messages import ClientState, HeartbeatReply, HeartbeatRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.client.connection.connection import Connection
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.wire.messages import SiteState
    from mmar_runner.wire.stub import FederationStub

_log = logging.getLogger(__name__)

#: The longest pause between looks at a kit's files, and thus between its heartbeats, and the
#: longest wait for an answer, in seconds.
LONGEST_PAUSE: Final = 60.0
LONGEST_WAIT: Final = 10.0


class Heartbeat:
    """Renews the lease for as long as `run` runs.

    Args:
        connection: To the server.
        settings: Of the session.
        below: Says what the sites below a combiner do.

    Attributes:
        state: What the client is doing, told with the next heartbeat.
        round: The round it is doing it for.
        steps: How many steps of that are done, and of how many; both 0 if nobody said.
    """

    def __init__(
        self,
        connection: Connection,
        settings: SessionSettings,
        below: Callable[[], list[SiteState]] = list,
    ) -> None:
        self._connection = connection
        self._below = below
        self._trust = settings.trust
        self._digest = settings.spec.digest
        self._lease = connection.registration.lease_seconds
        self.state = ClientState.CLIENT_STATE_IDLE
        self.round = connection.registration.current_round
        self.steps = (0, 0)

    def tell(self, state: ClientState, round_number: int) -> None:
        """Say what the client is doing, with the next heartbeat."""
        self.state = state
        self.round = round_number
        self.steps = (0, 0)

    def stepped(self, step: int, total: int) -> None:
        """Say how far the trainer is, with the next heartbeat. Any thread may call it."""
        self.steps = (step, total)

    async def run(self) -> NoReturn:
        """Beat until cancelled.

        Raises:
            RefusedError: The server does not want this client any more.
            CertificateError: CERT_EXPIRED, ours has expired and was not renewed; CERT_REVOKED,
                the server's was revoked.
            RunReplacedError: The run is over.
            SignatureError: DIGEST_REVOKED, the MMAR was revoked.
            NotAuthorizedError: DIGEST_BLOCKED, the site itself has blocked the MMAR.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            # From one beginning to the next: the answer may be slow, the request is not.
            due = began + self._pause()
            await asyncio.sleep(due - loop.time())
            began = loop.time()
            if self._trust is not None:
                await in_thread(self._trust.require_unblocked, self._digest)
            try:
                await self._connection.follow_files()
                reply = await self._try_beat()
            except (DiskFullError, AuditError) as error:
                if not error.may_pass:
                    raise
                _log.warning("%s; it is tried again with the next heartbeat", error.message)
                continue
            if reply is not None and reply.lease_seconds > 0:
                self._lease = reply.lease_seconds

    def _pause(self) -> float:
        """Return the time from one heartbeat to the next, in seconds."""
        pause = heartbeat_pause(self._lease)
        return pause if self._trust is None else min(LONGEST_PAUSE, pause)

    def _longest_wait(self) -> float:
        """Return how long an answer may take, so that two heartbeats fit into every lease."""
        return min(LONGEST_WAIT, self._lease - heartbeat_pause(self._lease))

    async def _try_beat(self) -> HeartbeatReply | None:
        try:
            return await self._connection.try_once(self._beat)
        except RefusedError as error:
            if reaction_to(error.reason) not in {Reaction.LISTEN, Reaction.RETRY}:
                raise
            # The held stream tells how it ended, or asks until a run is open again.
            return None

    async def _beat(self, stub: FederationStub, token: str) -> HeartbeatReply:
        step, steps = self.steps
        request = HeartbeatRequest(
            token=token,
            state=self.state,
            round=self.round,
            step=step,
            steps=steps,
            below=self._below(),
        )
        if self._trust is not None:
            request.revocations_version = self._trust.version
        reply = await stub.heartbeat(request, timeout=self._longest_wait())
        if reply.token:
            self._connection.use_token(reply.token, instead_of=token)
        if reply.revocations:
            await self._connection.take_revocations(reply.revocations)
        return reply
