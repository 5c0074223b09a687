# SPDX-License-Identifier: Apache-2.0
"""Answers administrators: a session, then one signed order after the other.

The order of checks is the same for every call: the certificate (the gate), the session, the
signature, once only, whether there is such a command, and the right at every target. Only
then is it written down as accepted, and carried out.
"""

from __future__ import annotations

import json
import time
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mmar_runner import __version__
from mmar_runner.errors import MmarRunnerError, NotAuthorizedError, ProtocolError, RefusedError
from mmar_runner.interfaces.admin_event import Missing
from mmar_runner.orders.order import opened
from mmar_runner.orders.typed import understood
from mmar_runner.server.wording import plain
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.messages import ExecutePart, LoginReply, LogoutReply
from mmar_runner.wire.servicer import AdminServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mmar_runner.admin.entrance.access import Access
    from mmar_runner.admin.entrance.gate import AdminGate
    from mmar_runner.admin.entrance.sessions import Sessions
    from mmar_runner.admin.files.transfers import Transfers
    from mmar_runner.admin.leaving import Leaving
    from mmar_runner.admin.modules.offer import Offer
    from mmar_runner.interfaces.admin_command import CommandCall
    from mmar_runner.interfaces.server_operations import ServerOperations
    from mmar_runner.orders.memory import OrderMemory
    from mmar_runner.security.audit.log import AuditLog
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.security.pki.followed import Revocations
    from mmar_runner.wire.admin_codec import SentDownloadItem
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import (
        DownloadRequest,
        ExecuteRequest,
        LoginRequest,
        LogoutRequest,
    )
    from mmar_runner.wire.servicer import UploadStream

#: What takes longer than so many seconds is asked about again before more of it is told.
_LOOK_SECONDS = 2.0
#: Letters of what was ordered that the audit log keeps.
_SHOWN = 500


class AdminDesk(AdminServicer):
    """One server's answers to its administrators.

    Args:
        kit: The server's.
        gate: At the administrators' port.
        access: Who may order what.
        sessions: That are open.
        offer: What can be ordered.
        operations: What can be done.
        transfers: Takes and gives files.
        revocations: What no longer counts.
        memory: Which orders were carried out.
        leaving: How the server itself ends.
        audit: Gets a line for every order.
    """

    def __init__(
        self,
        kit: StartupKit,
        gate: AdminGate,
        access: Access,
        sessions: Sessions,
        *,
        offer: Offer,
        operations: ServerOperations,
        transfers: Transfers,
        revocations: Revocations,
        memory: OrderMemory,
        leaving: Leaving,
        audit: AuditLog,
    ) -> None:
        self._kit = kit
        self._gate = gate
        self._access = access
        self._sessions = sessions
        self._offer = offer
        self._operations = operations
        self._transfers = transfers
        self._revocations = revocations
        self._memory = memory
        self._leaving = leaving
        self._audit = audit

    async def login(self, request: LoginRequest, peer: Peer) -> LoginReply:
        """Open a session.

        Raises:
            RefusedError: NAME_MISMATCH, the user is not the certificate's.
            NotAuthorizedError: USER_UNKNOWN or ADMIN_NOT_ACCEPTED.
        """
        user = _user(peer)
        if request.user != user:
            msg = f"the certificate is {user}'s, not {plain(request.user, 100)!r}'s"
            raise RefusedError(msg, reason="NAME_MISMATCH")
        await in_thread(self._access.require_accepted, user)
        token = self._sessions.open(user, peer)
        self._audit.record("Login", who=peer.who, peer=peer.address)
        commands = [spec.to_json() for spec in self._offer.specs.values()]
        return LoginReply(
            token=token,
            idle_seconds=self._sessions.idle_seconds,
            project=self._kit.identity.project,
            commands=json.dumps(commands).encode(),
            clients=self._operations.get_client_names(),
            server_version=__version__,
        )

    async def logout(self, request: LogoutRequest, peer: Peer) -> LogoutReply:
        """End a session."""
        self._sessions.close(request.token, peer)
        self._audit.record("Logout", who=peer.who, peer=peer.address)
        return LogoutReply()

    async def execute(self, request: ExecuteRequest, peer: Peer) -> AsyncIterator[ExecutePart]:
        """Carry out an order and yield its events, the last of which says how it ended."""
        try:
            async for part in self._carried_out(request, peer):
                yield part
        finally:
            self._leaving.answered()

    async def _carried_out(self, request: ExecuteRequest, peer: Peer) -> AsyncIterator[ExecutePart]:
        began, missing = time.monotonic(), 0
        call = await self._call(request.token, request.order, peer)
        module = self._offer.module_of(call.spec.name)
        if module is None:
            msg = f"{call.spec.name} is a call of its own, and no order to execute"
            raise ProtocolError(msg)
        looked = began
        async with aclosing(module.execute(call, self._operations)) as events:  # type: ignore[type-var]
            async for event in events:
                if time.monotonic() - looked >= _LOOK_SECONDS:
                    await self._require_still(request.token, call, peer)
                    looked = time.monotonic()
                missing += isinstance(event, Missing)
                yield ExecutePart(event=_json(event.to_json()))
        end = {
            "kind": "end",
            "status": "partial" if missing else "done",
            "seconds": round(time.monotonic() - began, 6),
            "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        yield ExecutePart(event=_json(end))

    async def upload(self, stream: UploadStream, peer: Peer) -> None:
        """Receive one package."""
        await self._transfers.receive(stream, peer, self._call)

    def download(self, request: DownloadRequest, peer: Peer) -> AsyncIterator[SentDownloadItem]:
        """Send one file."""
        return self._transfers.send(request, peer, self._call)

    async def _call(self, token: str, order: bytes, peer: Peer) -> CommandCall:
        """Return the call that an order makes, once its author may make it; it is audited.

        Raises:
            RefusedError: SESSION_OVER, TOKEN_NOT_BOUND or NAME_MISMATCH.
            SignatureError: As `mmar_runner.orders.order.opened`; ORDER_REPLAYED.
            UsageError: As `mmar_runner.orders.typed.understood`.
            NotAuthorizedError: A rule refuses it at one of its targets.
        """
        session = self._sessions.require(token, peer)
        now = datetime.now(UTC)
        said = opened(order, self._kit.trust_root, self._revocations.current, now=now)
        if said.user != session.user:
            msg = f"the session is {session.user}'s, and {said.user} signed the order"
            raise RefusedError(msg, reason="NAME_MISMATCH")
        self._memory.note(said, now=now)
        facts: dict[str, Any] = {"words": plain(" ".join(said.words), _SHOWN), "order": said.id}
        action = f"admin.{plain(said.command, 40)}"
        try:
            call = understood(said.words, self._offer.specs, said.user)
            present = self._operations.get_client_names()
            await in_thread(self._require, call, present)
        except MmarRunnerError as error:
            self._gate.note_refused(action, peer, error, **facts)
            raise
        self._audit.record(action, who=peer.who, peer=peer.address, **facts)
        return replace(call, order=order)

    async def _require_still(self, token: str, call: CommandCall, peer: Peer) -> None:
        """Refuse to go on with what takes a while: session and rights may be gone meanwhile.

        Raises:
            RefusedError: SESSION_OVER or TOKEN_NOT_BOUND.
            NotAuthorizedError: A rule refuses it by now.
        """
        self._sessions.require(token, peer)
        await in_thread(self._require, call, self._operations.get_client_names())

    def _require(self, call: CommandCall, present: list[str]) -> None:
        for decision in self._access.decisions(call.user, call.spec, call.targets, present):
            decision.require()


def _user(peer: Peer) -> str:
    if peer.certificate is None:
        msg = "an administrator is known by a certificate here"
        raise NotAuthorizedError(msg, reason="CERT_MISSING")
    return peer.certificate.identity.name


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
