# SPDX-License-Identifier: Apache-2.0
"""Requests to clients that open no port: each holds a call, and answers with another.

A request goes to those who are there. Who does not answer in time, has left, or refuses, is
named with the reason; the others' answers are there all the same.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.strict_json import parse_strict
from mmar_runner.errors import RefusedError
from mmar_runner.interfaces.admin_event import Missing
from mmar_runner.interfaces.server_operations import Gathered
from mmar_runner.server.gate.names import require_own_name
from mmar_runner.server.wording import plain
from mmar_runner.wire.messages import AdminReplyReceipt, AdminRequest
from mmar_runner.wire.servicer import RequestsServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    from mmar_runner.security.audit.log import AuditLog
    from mmar_runner.security.pki.followed import Revocations
    from mmar_runner.wire.gate import Peer
    from mmar_runner.wire.messages import AdminReply, RetrieveRequest

#: The largest answer of one client, and of all that are asked at once, in bytes: they travel
#: on in one message.
MAX_REPLY_BYTES: Final = 512 << 10
_ANSWERS_BYTES: Final = 2 << 20
_LEAST_BYTES: Final = 4 << 10
#: How deeply an answer may be nested.
_DEPTH: Final = 32
#: Requests that one client may have to answer at once.
_WAITING: Final = 32
_MIN_KEY_BYTES: Final = 16
_SHOWN: Final = 600
_VERSION_LETTERS: Final = 40


@dataclass(slots=True)
class Listener:
    """One client that waits for requests; times are seconds since 1970."""

    name: str
    site: str
    key_sha256: str
    version: str
    since: float
    heard: float
    fingerprint: str
    requests: asyncio.Queue[AdminRequest | None] = field(default_factory=asyncio.Queue)


@dataclass(slots=True)
class _Question:
    """One request to one client, whose answer is awaited."""

    client: str
    limit: int
    answer: asyncio.Future[Mapping[str, Any] | Missing]


class RequestHub(RequestsServicer):
    """Knows who waits for requests, and gathers answers. Used from the event loop.

    Args:
        participants: Gives every client of the project.
        audit: Gets a line for whoever comes and goes.
        revocations: What the project has revoked.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        participants: Callable[[], Sequence[str]],
        audit: AuditLog,
        revocations: Revocations,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._participants = participants
        self._audit = audit
        self._revocations = revocations
        self._clock = clock
        self._listeners: dict[str, Listener] = {}
        self._closed = False
        self._questions: dict[str, _Question] = {}
        self._changed = asyncio.Event()

    @property
    def listeners(self) -> list[Listener]:
        """Those who are there, by name."""
        return [self._listeners[name] for name in sorted(self._listeners)]

    @property
    def changes(self) -> asyncio.Event:
        """What is set once somebody has come or gone."""
        return self._changed

    def note(self) -> None:
        """Let those who wait look again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def close(self) -> None:
        """Let every held call end in order, and take no other: the server ends."""
        self._closed = True
        for listener in self._listeners.values():
            listener.requests.put_nowait(None)

    async def retrieve(self, request: RetrieveRequest, peer: Peer) -> AsyncIterator[AdminRequest]:
        """Yield an empty message, then what is asked of this client, until it leaves.

        Raises:
            RefusedError: CERT_MISSING, NAME_MISMATCH, TOO_MANY_INSTANCES, NAME_TAKEN or PROTOCOL.
        """
        listener = self._let_in(request, peer)
        revoked = self._revocations
        newer = revoked.current.version > request.revocations_version
        try:
            yield AdminRequest(revocations=revoked.signed if newer else b"")
            while (asked := await listener.requests.get()) is not None:
                yield asked
        finally:
            self._let_go(listener)

    async def send_reply(self, reply: AdminReply, peer: Peer) -> AdminReplyReceipt:
        """Take the answer to a request.

        Raises:
            RefusedError: The name is not the caller's, or PROTOCOL.
        """
        require_own_name(reply.client_name, peer, [reply.client_name], self._participants())
        if (listener := self._listeners.get(reply.client_name)) is not None:
            listener.heard = self._clock()
        question = self._questions.get(reply.request_id)
        if question is None or question.client != reply.client_name or question.answer.done():
            return AdminReplyReceipt(awaited=False)
        question.answer.set_result(_answer(reply, question.limit))
        return AdminReplyReceipt(awaited=True)

    async def ask(
        self, clients: Iterable[str], order: bytes, context: Mapping[str, Any], seconds: float
    ) -> Gathered:
        """Hand an order on to clients, all at once, and gather what they answer.

        Args:
            clients: Their names.
            order: What was signed.
            context: What the server adds.
            seconds: How long each may take.
        """
        text, names = json.dumps(dict(context)).encode(), list(clients)
        limit = min(MAX_REPLY_BYTES, max(_LEAST_BYTES, _ANSWERS_BYTES // max(1, len(names))))
        questions = [self._put(_question(name, limit), order, text, seconds) for name in names]
        answers = [question.answer for question in questions if not question.answer.done()]
        try:
            if answers:
                await asyncio.wait(answers, timeout=seconds)
        finally:  # whoever asked may have left meanwhile
            over = {id(question) for question in questions}
            self._questions = {k: q for k, q in self._questions.items() if id(q) not in over}
        replies: dict[str, Mapping[str, Any]] = {}
        missing = []
        for question in questions:
            answer = self._taken(question, seconds)
            if isinstance(answer, Missing):
                missing.append(answer)
            else:
                replies[question.client] = answer
        return Gathered(replies, missing)

    def _put(self, question: _Question, order: bytes, context: bytes, seconds: float) -> _Question:
        name = question.client
        listener = self._listeners.get(name)
        if listener is None:
            question.answer.set_result(
                Missing(name, "NOT_CONNECTED", f"{name} is not connected", "is it running?")
            )
            return question
        if listener.requests.qsize() >= _WAITING:
            message = f"{name} has {_WAITING} requests to answer already"
            question.answer.set_result(Missing(name, "BUSY", message, "try again a little later"))
            return question
        request_id = secrets.token_hex(16)
        self._questions[request_id] = question
        listener.requests.put_nowait(
            AdminRequest(request_id=request_id, order=order, context=context, seconds=seconds)
        )
        return question

    def _taken(self, question: _Question, seconds: float) -> Mapping[str, Any] | Missing:
        if question.answer.done():
            return question.answer.result()
        question.answer.cancel()
        message = f"{question.client} did not answer within {seconds:g} s"
        return Missing(question.client, "NO_ANSWER", message, "set_timeout SECONDS gives more time")

    def _let_in(self, request: RetrieveRequest, peer: Peer) -> Listener:
        if self._closed:
            raise RefusedError("the server ends", reason="SERVER_STOPPING")
        name = request.client_name
        own = [one.name for one in self._listeners.values() if one.fingerprint == peer.fingerprint]
        site = require_own_name(name, peer, own, self._participants())
        if len(request.session_key) < _MIN_KEY_BYTES:
            msg = f"the session key has fewer than {_MIN_KEY_BYTES} bytes"
            raise RefusedError(msg, reason="PROTOCOL")
        key = sha256(request.session_key).hexdigest()
        before = self._listeners.get(name)
        if before is not None:
            if not hmac.compare_digest(before.key_sha256, key):
                msg = f"the client name {name!r} is taken by a client that is alive"
                hint = "stop the other one, or start this one with --instance K"
                raise RefusedError(msg, reason="NAME_TAKEN", hint=hint)
            before.requests.put_nowait(None)
        version = plain(request.runner_version, _VERSION_LETTERS)
        now = self._clock()
        listener = Listener(name, site, key, version, now, now, peer.fingerprint)
        self._audit.record("Retrieve", who=peer.who, peer=peer.address, client=name)
        self._listeners[name] = listener
        self.note()
        return listener

    def _let_go(self, listener: Listener) -> None:
        """Forget one who has left, and answer for it what it has not."""
        if self._listeners.get(listener.name) is not listener:
            return  # it came again over a newer call, which has taken over
        del self._listeners[listener.name]
        for question in self._questions.values():
            if question.client == listener.name and not question.answer.done():
                message = f"{listener.name} left before it answered"
                question.answer.set_result(Missing(listener.name, "LEFT", message))
        self.note()


def _question(client: str, limit: int) -> _Question:
    return _Question(client, limit, asyncio.get_running_loop().create_future())


def _answer(reply: AdminReply, limit: int) -> Mapping[str, Any] | Missing:
    """Return what a client said; what cannot be read is missing."""
    name = reply.client_name
    if reply.reason:
        said = (plain(text, _SHOWN) for text in (reply.reason, reply.message, reply.hint))
        return Missing(name, *said)
    try:
        value = parse_strict(reply.reply, limit=limit)
    except ValueError as error:
        return Missing(name, "PROTOCOL", f"the answer of {name} {error}")
    if not isinstance(value, dict):
        return Missing(name, "PROTOCOL", f"the answer of {name} is no object")
    if not _is_flat(value, _DEPTH):
        return Missing(name, "PROTOCOL", f"the answer of {name} is nested too deeply")
    return value


def _is_flat(value: object, left: int) -> bool:
    """Return whether a value is nested at most so deeply: what is read need not be writable."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return True
    return left > 0 and all(_is_flat(one, left - 1) for one in value)
