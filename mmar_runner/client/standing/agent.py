# SPDX-License-Identifier: Apache-2.0
"""The standing client: holds a call to the server, and does what is ordered and allowed."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mmar_runner import __version__
from mmar_runner.client.connection.backoff import Backoff
from mmar_runner.client.connection.line import Line
from mmar_runner.client.connection.outage import Outage
from mmar_runner.client.connection.retries import Retries
from mmar_runner.client.files.workspace import ClientWorkspace
from mmar_runner.client.standing.permission import Permission
from mmar_runner.client.standing.requests import CONTEXT_BYTES, Requests
from mmar_runner.client.standing.work import StandingWork
from mmar_runner.errors import (
    CertificateError,
    MmarRunnerError,
    RefusedError,
    UnreachableError,
)
from mmar_runner.federation.client_machine import Reaction, reaction_to
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.orders.order import MAX_ORDER_BYTES
from mmar_runner.waiting.races import end, first_of
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.admin_stub import RequestsStub
from mmar_runner.wire.messages import AdminReply, RetrieveRequest

if TYPE_CHECKING:
    from mmar_runner.client.standing.settings import StandingSettings
    from mmar_runner.hooks import LoadedPlugins
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.wire.messages import AdminRequest

_log = logging.getLogger(__name__)

#: How long the server may take to hear an answer, in seconds.
_REPLY_SECONDS: Final = 10.0
#: Requests that are answered at once: each holds what the server sent.
AT_ONCE: Final = 64
#: How often the certificate's files are looked at, in seconds.
_FOLLOW_SECONDS: Final = 15.0
#: What a server that is started for one run says to a client that waits for orders.
NO_ORDERS: Final = "UNIMPLEMENTED"


@dataclass(frozen=True, slots=True)
class StandingOutcome:
    """How a standing client ended.

    Attributes:
        reason: Why.
        again: Whether it is to execute its own command again.
    """

    reason: str
    again: bool = False


class StandingClient:
    """One client that waits for orders.

    Args:
        settings: What it is started with.
        plugins: In force.
        observer: Sees what happens.

    Raises:
        UsageError: A policy cannot be read, or is wrong.
        StorageError: What it remembers cannot be read.
    """

    def __init__(
        self, settings: StandingSettings, plugins: LoadedPlugins, observer: Observer
    ) -> None:
        trust = settings.trust
        self._settings = settings
        self._observer = observer
        self._key = ClientWorkspace(settings.workspace).session_key()
        self._line = Line(trust.target, trust.tls, trust.judge_server)
        self._outage = Outage(trust.target, observer)
        self._retries = Retries(self._line, self._outage, trust, observer)
        self._work = StandingWork(settings, plugins, observer)
        self._requests = Requests(Permission(settings), self._work, settings)
        self._answering: set[asyncio.Task[None]] = set()

    async def stand(self, stop: asyncio.Event) -> StandingOutcome:
        """Do what is ordered until that is to end, or ``stop`` is set.

        Raises:
            RefusedError: UNIMPLEMENTED, the server is one that was started for one run; or it
                does not want this client.
            CertificateError: TLS does not come about, and waiting will not mend it.
            UnreachableError: Nobody answered within the time given by the settings.
        """
        try:
            await self._work.go_on()
            return await first_of(
                self._listen(), self._follow_files(), self._stopped(stop), self._told()
            )
        except (RefusedError, CertificateError) as error:
            if error.reason != NO_ORDERS:
                self._settings.trust.refused(error)
            raise
        finally:
            await end(*self._answering)
            await self._work.close()
            await self._line.close()

    async def _stopped(self, stop: asyncio.Event) -> StandingOutcome:
        await stop.wait()
        return StandingOutcome("the client was told to stop")

    async def _told(self) -> StandingOutcome:
        await self._requests.leaving.wait()
        return StandingOutcome(self._requests.reason, self._requests.again)

    async def _follow_files(self) -> StandingOutcome:
        while True:
            await asyncio.sleep(_FOLLOW_SECONDS)
            await self._retries.follow_files()

    async def _listen(self) -> StandingOutcome:
        facts = {"target": self._settings.trust.target}
        self._observer.observe(Observation(Topic.CONNECTING, facts))
        backoff = Backoff(random.random)
        while True:
            stream = await self._opened()
            try:
                async with aclosing(stream) as requests:
                    backoff = Backoff(random.random)
                    async for request in requests:
                        await self._take(request)
            except UnreachableError as error:
                await self._retries.look_closer(error)
            except RefusedError as error:
                _log.info("the held call was refused: %s", error.message)
            await self._line.pause(backoff.next_delay())

    async def _opened(self) -> Any:
        """Hold a call, however long it takes until somebody answers; the first time, not longer.

        Raises:
            UnreachableError: Nobody answered within the time given by the settings.
        """
        first = not self._retries.begun
        try:
            async with asyncio.timeout(self._settings.connect_timeout if first else None):
                return await self._retries.until_it_passes(self._open)
        except TimeoutError as error:
            raise self._outage.error() from error

    async def _open(self) -> Any:
        """Hold a call, and return it once the server knows of this client."""
        await self._line.identify()
        before = self._line.stub
        try:
            return await self._held()
        except RefusedError as error:
            if reaction_to(error.reason) is not Reaction.RENEW:
                raise
            await self._retries.renew(error, before)
            raise UnreachableError(error.message) from error  # again, over the new line

    async def _held(self) -> Any:
        trust = self._settings.trust
        stub = RequestsStub(self._line.channel, trust.target)
        stream = stub.retrieve(
            RetrieveRequest(
                client_name=self._settings.name,
                session_key=self._key,
                runner_version=__version__,
                revocations_version=trust.version,
            )
        )
        try:
            first = await anext(stream)
        except StopAsyncIteration as error:
            raise UnreachableError(f"{trust.target} has ended the call") from error
        except BaseException:
            await stream.aclose()
            raise
        if first.revocations:
            await in_thread(trust.offer, first.revocations, "")
            await self._line.judge_again()
        if not self._retries.begun:
            self._retries.begun = True
            facts = {"client": self._settings.name, "target": trust.target}
            self._observer.observe(Observation(Topic.STANDING, facts))
        return stream

    async def _take(self, request: AdminRequest) -> None:
        """Answer a request beside the others, as long as these are not too many."""
        if not request.request_id:
            return
        while len(self._answering) >= AT_ONCE:  # what else comes waits at the server
            await asyncio.wait(self._answering, return_when=asyncio.FIRST_COMPLETED)
        # What is too long is refused for that, and not held until it is.
        request.order = request.order[: MAX_ORDER_BYTES + 1]
        request.context = request.context[: CONTEXT_BYTES + 1]
        task = asyncio.create_task(self._answer(request))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, request: AdminRequest) -> None:
        reply = AdminReply(client_name=self._settings.name, request_id=request.request_id)
        try:
            value = await self._requests.carry_out(request.order, request.context)
            reply.reply = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except MmarRunnerError as error:
            reply.reason, reply.message = error.reason, error.message
            reply.hint = error.hint or ""
        stub = RequestsStub(self._line.channel, self._settings.trust.target)
        try:
            await stub.send_reply(reply, timeout=_REPLY_SECONDS)
        except (UnreachableError, RefusedError) as error:
            _log.info("the server did not hear an answer: %s", error.message)
        self._requests.answered()
