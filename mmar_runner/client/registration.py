# SPDX-License-Identifier: Apache-2.0
"""The session's connection: registered, and registered again when that is needed.

Every call to the server goes through `Connection.call`, so that there is one place
that knows what to do when nobody answers (try again, ever more slowly) and when the
server no longer knows the token (register again under the same session key).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from mmar_runner import __version__
from mmar_runner.client.backoff import Backoff
from mmar_runner.errors import RefusedError, RunError, UnreachableError
from mmar_runner.federation.client_machine import Reaction, reaction_to
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.messages import QuitRequest, RegisterReply, RegisterRequest
from mmar_runner.wire.stub import FederationStub

if TYPE_CHECKING:
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.interfaces.observer import Observer

_T = TypeVar("_T")

#: How long one attempt to register, and the farewell, may take, in seconds.
REGISTER_SECONDS: Final = 10.0
QUIT_SECONDS: Final = 2.0
#: How often an outage that lasts is told at least, in seconds.
LONGEST_SILENCE: Final = 60.0


class RunReplacedError(RunError):
    """The server has opened another run; this one is over."""

    default_reason = "RUN_REPLACED"


class Connection:
    """A registered client's calls.

    Args:
        settings: Whom to call, as whom.
        session_key: By which the server knows this client again.
        observer: Sees when nobody answers, and when the client is registered.

    Attributes:
        latest_round: The latest round whose model the server has sent; -1 before.
    """

    def __init__(self, settings: SessionSettings, session_key: bytes, observer: Observer) -> None:
        self._settings = settings
        self._key = session_key
        self._observer = observer
        self._channel = open_channel(settings.target, credentials=settings.credentials)
        self._stub = FederationStub(self._channel, settings.target)
        self._outage = Outage(settings.target, observer)
        self._registration: RegisterReply | None = None
        self._registering = asyncio.Lock()
        self.latest_round = -1

    @property
    def registration(self) -> RegisterReply:
        """What the server told at registration; only after `register`."""
        if self._registration is None:
            msg = "not registered yet"
            raise ValueError(msg)
        return self._registration

    async def register(self) -> RegisterReply:
        """Join the run, however long it takes until somebody answers.

        Raises:
            RefusedError: The server does not want this client.
            UnreachableError: Nobody answered within the time given by the settings.
        """
        self._observer.observe(Observation(Topic.CONNECTING, {"target": self._settings.target}))
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                reply = await self._retried(self._register_once)
        except TimeoutError as error:
            raise self._outage.error() from error
        return self._accept(reply)

    async def call(self, operation: Callable[[FederationStub, str], Awaitable[_T]]) -> _T:
        """Carry out an operation, over again after every failure that may pass.

        Args:
            operation: Gets the stub and the token in force; safe to repeat.

        Raises:
            RefusedError: The server refused it for good.
            RunReplacedError: The server has meanwhile opened another run.
            WireError: The server answered something that cannot be understood.
        """
        return await self._retried(lambda: self._authorized(operation))

    async def try_once(
        self, operation: Callable[[FederationStub, str], Awaitable[_T]]
    ) -> _T | None:
        """Carry out an operation once; None if nobody answered, which is shown.

        Raises:
            RefusedError: The server refused it for good.
        """
        try:
            result = await self._authorized(operation)
        except UnreachableError as error:
            self._outage.begin(error)
            return None
        self._outage.end()
        return result

    async def quit(self, comment: str) -> None:
        """Say farewell, if anybody listens."""
        if self._registration is None:
            return
        request = QuitRequest(token=self._registration.token, comment=comment)
        try:
            await self._stub.quit(request, timeout=QUIT_SECONDS)
        except (UnreachableError, RefusedError):
            return  # the lease will end by itself

    async def close(self) -> None:
        """Close the channel; running calls are given up."""
        await self._channel.close(None)

    async def _authorized(self, operation: Callable[[FederationStub, str], Awaitable[_T]]) -> _T:
        while True:
            token = self.registration.token
            try:
                return await operation(self._stub, token)
            except RefusedError as error:
                if reaction_to(error.reason) is not Reaction.REGISTER:
                    raise
                await self._register_again(token)

    async def _register_again(self, stale_token: str) -> None:
        async with self._registering:
            if self.registration.token != stale_token:
                return  # another call has done it
            before = self.registration.run_number
            reply = self._accept(await self._retried(self._register_once))
        # A server whose workspace was deleted counts runs, and rounds, from the beginning.
        went_back = 0 <= reply.current_round < self.latest_round
        if reply.run_number != before or went_back:
            self.latest_round = -1
            msg = f"the server has opened another run; the run {before} it knew is over"
            raise RunReplacedError(msg)

    async def _register_once(self) -> RegisterReply:
        request = RegisterRequest(
            client_name=self._settings.name,
            session_key=self._key,
            task_name=self._settings.client.task_name,
            mmar_digest=self._settings.spec.digest,
            runner_version=__version__,
        )
        return await self._stub.register(request, timeout=REGISTER_SECONDS)

    def _accept(self, reply: RegisterReply) -> RegisterReply:
        self._registration = reply
        facts = {
            "client": self._settings.name,
            "run_number": reply.run_number,
            "num_rounds": reply.num_rounds,
        }
        self._observer.observe(Observation(Topic.REGISTERED, facts))
        return reply

    async def _retried(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        backoff = Backoff(random.random)
        while True:
            try:
                result = await attempt()
            except UnreachableError as error:
                self._outage.begin(error)
            except RefusedError as error:
                if reaction_to(error.reason) is not Reaction.RETRY:
                    raise
                facts = {"message": f"{error.message}; trying again"}
                self._observer.observe(Observation(Topic.WAITING, facts))
            else:
                self._outage.end()
                return result
            await asyncio.sleep(backoff.next_delay())


class Outage:
    """Since when nobody answers, told to the observer ever more seldom."""

    def __init__(self, target: str, observer: Observer) -> None:
        self._target = target
        self._observer = observer
        self._since: float | None = None
        self._told = float("-inf")
        self._message = f"no answer from {target}"

    def begin(self, error: UnreachableError) -> None:
        """See a failure."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        self._message = error.message
        pause = min(LONGEST_SILENCE, max(1.0, (now - self._since) / 2))
        if now - self._told < pause:
            return
        self._told = now
        facts = {
            "target": self._target,
            "since_seconds": round(now - self._since, 3),
            "message": error.message,
        }
        self._observer.observe(Observation(Topic.UNREACHABLE, facts))

    def end(self) -> None:
        """See that somebody answers."""
        self._since = None
        self._told = float("-inf")

    def error(self) -> UnreachableError:
        """Return the error of a caller that gives up."""
        seconds = 0.0 if self._since is None else time.monotonic() - self._since
        hint = "is the server running, and is --server its address?"
        return UnreachableError(f"{self._message}, for {seconds:.1f} s", hint=hint)
