# SPDX-License-Identifier: Apache-2.0
"""Asks a controller which combiner a client is to work below, until it says one."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mmar_runner.client.connection.line import Line
from mmar_runner.client.connection.outage import Outage, mend
from mmar_runner.client.connection.retries import Retries
from mmar_runner.errors import (
    NotAuthorizedError,
    ProtocolError,
    RefusedError,
    UnreachableError,
)
from mmar_runner.federation.assignment import AssignStatus
from mmar_runner.federation.client_machine import Reaction, reaction_to
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.wire.messages import AssignRequest
from mmar_runner.wire.stub import DiscoveryStub

if TYPE_CHECKING:
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.wire.messages import AssignReply

#: How long an answer may take, and a client may be told to wait before it asks again, in seconds.
_ANSWER_SECONDS: Final = 10.0
_LEAST_SECONDS: Final = 0.1
_MOST_SECONDS: Final = 60.0
#: For how long another combiner is asked for than one that did not answer, in seconds.
_SHUNNED_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Assigned:
    """What a client was assigned to.

    Attributes:
        combiner: Its name: whoever answers there must show its certificate.
        target: Where it answers, ``host:port``.
        serves: Whether clients may come to it by now.
    """

    combiner: str
    target: str
    serves: bool = field(default=False, compare=False)


class Asking:
    """One client's questions to its controller.

    Args:
        settings: Of the session; its target is the controller.
        preferred: The combiner that the client prefers; empty for none.
        observer: Sees what is waited for.

    Raises:
        CertificateError: TLS_FILES, certificate and key cannot be used.
    """

    def __init__(self, settings: SessionSettings, preferred: str, observer: Observer) -> None:
        self._settings = settings
        self._preferred = preferred
        self._observer = observer
        self._line = Line(
            settings.target,
            settings.tls,
            None if settings.trust is None else settings.trust.judge_server,
        )
        self._outage = Outage(settings.target, observer, mend("controller"))
        self._retries = Retries(self._line, self._outage, settings.trust, observer)
        self._told = ""
        self._shunned: dict[str, float] = {}

    def shun(self, combiner: str) -> None:
        """Ask for any other: this one did not answer the client, or not as itself."""
        self._shunned[combiner] = time.monotonic() + _SHUNNED_SECONDS

    def reached(self, combiner: str) -> None:
        """See that a combiner answers."""
        self._shunned.pop(combiner, None)

    async def until_assigned(self) -> Assigned:
        """Ask until there is a combiner, however long that takes.

        Raises:
            NotAuthorizedError: The site may not run what is run there.
            RefusedError: UNMATCHED_CONFIG, the client is started for something else; or the
                server refused to say.
            CertificateError: TLS does not come about, and waiting will not mend it.
            UnreachableError: Nobody answered within the time given by the settings.
        """
        seconds = None if self._retries.begun else self._settings.connect_timeout
        try:
            async with asyncio.timeout(seconds) as limit:
                while True:
                    reply = await self._retries.until_it_passes(self._ask)
                    self._retries.begun = True
                    limit.reschedule(None)
                    if (found := _taken(reply, self._settings.target)) is not None:
                        self._told = ""
                        return found
                    await self._wait(reply)
        except TimeoutError as error:
            raise self._outage.error() from error

    async def once(self) -> Assigned | None:
        """Ask once; None if nobody answers, or there is no combiner.

        Raises:
            NotAuthorizedError: The site may not run what is run there any more.
            RefusedError: UNMATCHED_CONFIG.
        """
        try:
            reply = await self._ask()
        except UnreachableError:
            return None
        except RefusedError as error:
            if reaction_to(error.reason) is Reaction.RETRY:
                return None
            raise
        if (found := _taken(reply, self._settings.target)) is None:
            self._say(reply)
        return found

    async def close(self) -> None:
        """Close the line."""
        await self._line.close()

    async def _ask(self) -> AssignReply:
        now = time.monotonic()
        self._shunned = {one: until for one, until in self._shunned.items() if until > now}
        request = AssignRequest(
            client_name=self._settings.name,
            preferred_combiner=self._preferred,
            mmar_digest=self._settings.spec.digest,
            avoid=sorted(self._shunned),
        )
        await self._line.identify()
        stub = DiscoveryStub(self._line.channel, self._settings.target)
        return await stub.assign(request, timeout=_ANSWER_SECONDS)

    def _say(self, reply: AssignReply) -> None:
        if reply.message != self._told:
            self._told = reply.message
            facts = {"message": f"{self._settings.target}: {reply.message}; trying again"}
            self._observer.observe(Observation(Topic.WAITING, facts))

    async def _wait(self, reply: AssignReply) -> None:
        self._say(reply)
        await asyncio.sleep(min(_MOST_SECONDS, max(_LEAST_SECONDS, reply.retry_seconds)))


def _taken(reply: AssignReply, controller: str) -> Assigned | None:
    """Return what a reply assigns, or None if the client is to ask again.

    Raises:
        NotAuthorizedError, RefusedError: It is to stop.
        ProtocolError: The reply is none.
    """
    match reply.status:
        case AssignStatus.ASSIGNED:
            if not reply.combiner or not reply.target:
                msg = f"{controller} assigned a combiner without name or address"
                raise ProtocolError(msg)
            return Assigned(reply.combiner, reply.target, reply.serves)
        case AssignStatus.TRY_AGAIN | AssignStatus.UNASSIGNED:
            return None
        case AssignStatus.UNAUTHORIZED:
            raise NotAuthorizedError(reply.message, reason="NOT_AUTHORIZED")
        case AssignStatus.UNMATCHED_CONFIG:
            hint = (
                "ask the root of a tree that assigns, with the MMAR that it runs; or give --server"
            )
            raise RefusedError(reply.message, reason="UNMATCHED_CONFIG", hint=hint)
        case other:
            msg = f"{controller} answered with the status {other}, which is not known here"
            raise ProtocolError(msg)
