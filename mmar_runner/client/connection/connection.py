# SPDX-License-Identifier: Apache-2.0
"""The session's connection: one place that every call to the server goes through.

It knows what to do when nobody answers (try again, ever more slowly), when the server no
longer takes the token (register again under the same session key), and when the certificate
is too old (call with the renewed one, if there is one).
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, TypeVar

from mmar_runner.client.connection.backoff import Backoff
from mmar_runner.client.connection.line import Line
from mmar_runner.client.connection.outage import Outage
from mmar_runner.client.connection.registration import Registration
from mmar_runner.client.connection.retries import Retries
from mmar_runner.errors import RefusedError, UnreachableError
from mmar_runner.federation.client_machine import Reaction, reaction_to
from mmar_runner.wire.messages import QuitRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.wire.messages import RegisterReply
    from mmar_runner.wire.stub import FederationStub

_T = TypeVar("_T")

#: How long the farewell may take, in seconds.
QUIT_SECONDS: Final = 2.0
#: How long after bytes of a transfer a small call that nobody answered says nothing, in seconds.
MOVING_SECONDS: Final = 15.0


class Connection:
    """A registered client's calls.

    Args:
        settings: Whom to call, as whom.
        session_key: By which the server knows this client again.
        observer: Sees when nobody answers, and when the client is registered.

    Raises:
        CertificateError: TLS_FILES, certificate and key cannot be used.
    """

    def __init__(self, settings: SessionSettings, session_key: bytes, observer: Observer) -> None:
        trust = settings.trust
        judge = None if trust is None else trust.judge_server
        self._line = Line(settings.target, settings.tls, judge)
        self._outage = Outage(settings.target, observer, settings.reach_hint)
        self._retries = Retries(self._line, self._outage, trust, observer)
        self._own = Registration(settings, session_key, observer, self._line, self._retries)
        self._moved = float("-inf")

    @property
    def registration(self) -> RegisterReply:
        """What the server told at registration; only after `register`."""
        return self._own.reply

    async def register(self) -> RegisterReply:
        """Join the run, however long it takes until somebody answers.

        Raises:
            RefusedError: The server does not want this client.
            CertificateError: TLS does not come about, and waiting will not mend it.
            UnreachableError: Nobody answered within the time given by the settings.
        """
        try:
            return await self._own.register()
        except TimeoutError as error:
            raise self._outage.error() from error

    async def call(self, operation: Callable[[FederationStub, str], Awaitable[_T]]) -> _T:
        """Carry out an operation, over again after every failure that may pass.

        Args:
            operation: Gets the stub and the token in force; safe to repeat.

        Raises:
            RefusedError: The server refused it for good.
            RunReplacedError: The server has meanwhile opened another run.
            CertificateError: CERT_EXPIRED, ours has expired and was not renewed.
            WireError: The server answered something that cannot be understood.
        """
        return await self._retries.until_it_passes(lambda: self._authorized(operation))

    async def try_once(
        self, operation: Callable[[FederationStub, str], Awaitable[_T]]
    ) -> _T | None:
        """Carry out an operation once; None if nobody answered, which is shown.

        Raises:
            RefusedError: The server refused it for good.
            CertificateError: CERT_EXPIRED, ours has expired and was not renewed.
        """
        stub = self._line.stub
        try:
            result = await self._authorized(operation)
        except UnreachableError as error:
            quiet = asyncio.get_running_loop().time() - self._moved
            if self._line.stub is stub and quiet > MOVING_SECONDS:
                await self._retries.look_closer(error)
            return None
        self._outage.end()
        return result

    def moved(self) -> None:
        """See that bytes of a transfer came, or arrived over there: somebody is there.

        On a slow line a small call may wait for long behind them.
        """
        self._moved = asyncio.get_running_loop().time()

    async def follow_files(self) -> None:
        """Take up a renewed certificate, if there is one."""
        await self._retries.follow_files()

    async def take_revocations(self, data: bytes) -> None:
        """Take a list of revocations; see `Registration.take_revocations`."""
        await self._own.take_revocations(data)

    def use_token(self, token: str, instead_of: str) -> None:
        """Use a token that the server gave in place of one that will soon be too old."""
        if self.registration.token == instead_of:
            self.registration.token = token

    async def quit(self, comment: str) -> None:
        """Say farewell, if anybody listens."""
        if not self._own.is_in:
            return
        request = QuitRequest(token=self.registration.token, comment=comment)
        try:
            await self._line.stub.quit(request, timeout=QUIT_SECONDS)
        except (UnreachableError, RefusedError):
            return  # the lease will end by itself

    async def close(self) -> None:
        """Close the channel; running calls are given up."""
        await self._line.close()

    async def _authorized(self, operation: Callable[[FederationStub, str], Awaitable[_T]]) -> _T:
        backoff: Backoff | None = None
        while True:
            stub, token = self._line.stub, self.registration.token
            if self._line.certificate != self._own.bound_to:
                # A token is one certificate's: a renewed one would be refused with it.
                await self._own.register_again(token)
                continue
            try:
                return await operation(stub, token)
            except RefusedError as error:
                await self._react(error, stub, token)
            if backoff is not None:  # once is usual; a server that never has enough is not
                await asyncio.sleep(backoff.next_delay())
            backoff = backoff or Backoff(random.random)

    async def _react(self, error: RefusedError, stub: FederationStub, token: str) -> None:
        """Do what a refusal calls for before the same call is made again, or raise it."""
        match reaction_to(error.reason):
            case Reaction.REGISTER:
                await self._own.register_again(token)
            case Reaction.RENEW:
                await self._retries.renew(error, stub)
            case _:
                raise error
