# SPDX-License-Identifier: Apache-2.0
"""The session's connection: registered, and registered again when that is needed.

Every call to the server goes through `Connection.call`, so that there is one place
that knows what to do when nobody answers (try again, ever more slowly), when the server
no longer takes the token (register again under the same session key), and when the
certificate is too old (call with the renewed one, if there is one).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from mmar_runner import __version__
from mmar_runner.client.backoff import Backoff
from mmar_runner.client.line import Line
from mmar_runner.client.outage import Outage
from mmar_runner.errors import (
    AuditError,
    DiskFullError,
    MmarRunnerError,
    RefusedError,
    RunError,
    UnreachableError,
)
from mmar_runner.federation.client_machine import Reaction, reaction_to
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.messages import QuitRequest, RegisterReply, RegisterRequest

if TYPE_CHECKING:
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.interfaces.observer import Observer
    from mmar_runner.wire.stub import FederationStub

_T = TypeVar("_T")

#: How long one attempt to register, and the farewell, may take, in seconds.
REGISTER_SECONDS: Final = 10.0
#: What gRPC says where the server shows another certificate than before: a renewed one.
_ANOTHER_CERTIFICATE: Final = "CERTIFICATE_VERIFY_FAILED"
QUIT_SECONDS: Final = 2.0
#: How long after bytes of a transfer a small call that nobody answered says nothing, in seconds.
MOVING_SECONDS: Final = 15.0


class RunReplacedError(RunError):
    """The server has opened another run, or the run went back: what was known of it is over."""

    default_reason = "RUN_REPLACED"


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
        self._settings = settings
        self._key = session_key
        self._observer = observer
        judge = None if settings.trust is None else settings.trust.judge_server
        self._line = Line(settings.target, settings.tls, judge)
        self._outage = Outage(settings.target, observer)
        self._registration: RegisterReply | None = None
        self._bound_to = b""
        self._registering = asyncio.Lock()
        self._moved = float("-inf")

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
            CertificateError: TLS does not come about, and waiting will not mend it.
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
            CertificateError: CERT_EXPIRED, ours has expired and was not renewed.
            WireError: The server answered something that cannot be understood.
        """
        return await self._retried(lambda: self._authorized(operation))

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
                await self._look_closer(error)
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
        if await self._line.follow() and self._settings.trust is not None:
            self._settings.trust.record("Certificate", "noted", renewed=True)

    async def take_revocations(self, data: bytes) -> None:
        """Take a list of revocations that the server handed on, if it counts.

        Raises:
            SignatureError: DIGEST_REVOKED, it revokes the MMAR of this session.
            CertificateError: CERT_REVOKED, it revokes the server itself.
            AuditError: An event cannot be written down.
            StorageError: The list cannot be kept.
        """
        if self._settings.trust is not None:
            await in_thread(self._settings.trust.offer, data, self._settings.spec.digest)
            await self._line.judge_again()

    def use_token(self, token: str, instead_of: str) -> None:
        """Use a token that the server gave in place of one that will soon be too old."""
        if self.registration.token == instead_of:
            self.registration.token = token

    async def quit(self, comment: str) -> None:
        """Say farewell, if anybody listens."""
        if self._registration is None:
            return
        request = QuitRequest(token=self._registration.token, comment=comment)
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
            if self._line.certificate != self._bound_to:
                # A token is one certificate's: a renewed one would be refused with it.
                await self._register_again(token)
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
                await self._register_again(token)
            case Reaction.RENEW:
                await self.follow_files()
                # Half of a renewal may lie there: the other half is waited for.
                if self._line.stub is stub and not self._line.is_torn:
                    raise error
            case _:
                raise error

    async def _register_again(self, stale_token: str) -> None:
        async with self._registering:
            if self.registration.token != stale_token:
                return  # another call has done it
            before = self.registration
            reply = self._accept(await self._retried(self._register_once))
        # A server whose workspace was deleted counts runs from the beginning: another epoch.
        if (reply.run_number, reply.epoch) != (before.run_number, before.epoch):
            msg = f"run {before.run_number} is over, or has gone back a round: walk it anew"
            raise RunReplacedError(msg)

    async def _register_once(self) -> RegisterReply:
        request = RegisterRequest(
            client_name=self._settings.name,
            session_key=self._key,
            task_name=self._settings.client.task_name,
            mmar_digest=self._settings.spec.digest,
            runner_version=__version__,
        )
        trust = self._settings.trust
        if trust is not None:
            request.revocations_version = trust.version
        await self._line.identify()
        stub, certificate = self._line.stub, self._line.certificate
        try:
            reply = await stub.register(request, timeout=REGISTER_SECONDS)
        except RefusedError as error:
            if reaction_to(error.reason) is Reaction.REGISTER:
                raise
            await self._react(error, stub, "")
            raise UnreachableError(error.message) from error  # again, over the new line
        if reply.revocations:
            await self.take_revocations(reply.revocations)
        self._bound_to = certificate
        return reply

    def _accept(self, reply: RegisterReply) -> RegisterReply:
        # What cannot be written down was not told: the next attempt learns the same again,
        # and compares it with what was known before.
        if self._settings.trust is not None:
            digest = self._settings.spec.digest
            self._settings.trust.record(
                "Register",
                "accepted",
                client=self._settings.name,
                run_number=reply.run_number,
                mmar_digest=digest,
            )
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
            stub = self._line.stub
            try:
                result = await attempt()
            except UnreachableError as error:
                if self._line.stub is stub:
                    await self._look_closer(error)
            except RefusedError as error:
                if reaction_to(error.reason) is not Reaction.RETRY:
                    raise
                self._say_again(error)
            except (DiskFullError, AuditError) as error:
                if not error.may_pass:
                    raise
                self._say_again(error)
            else:
                self._outage.end()
                return result
            await self._line.pause(backoff.next_delay())

    def _say_again(self, error: MmarRunnerError) -> None:
        facts = {"message": f"{error.message}; trying again"}
        self._observer.observe(Observation(Topic.WAITING, facts))

    async def _look_closer(self, error: UnreachableError) -> None:
        """Find out why nobody answers, and tell.

        Raises:
            CertificateError: Trying again will not mend it.
        """
        await self.follow_files()
        if self._outage.is_due or _ANOTHER_CERTIFICATE in error.message:
            trouble = await self._line.trouble()
            # Once in a run, only what cannot be the server's own passing trouble ends it.
            begun = self._registration is not None
            if trouble is not None and (trouble.ours or not (begun or trouble.is_passing)):
                raise trouble.error
            if trouble is not None:
                error = UnreachableError(trouble.error.message, hint=trouble.error.hint)
        self._outage.begin(error)
