# SPDX-License-Identifier: Apache-2.0
"""A client's registration: asked for, taken in, and asked for again under the same key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mmar_runner import __version__
from mmar_runner.errors import RefusedError, RunError, UnreachableError
from mmar_runner.federation.client_machine import Reaction, reaction_to
from mmar_runner.interfaces.observer import Observation, Topic
from mmar_runner.storage.codec_names import NONE, UPDATE_CODECS
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.messages import RegisterReply, RegisterRequest
from mmar_runner.wire.packing import MEND, compressions

if TYPE_CHECKING:
    from mmar_runner.client.connection.line import Line
    from mmar_runner.client.connection.retries import Retries
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.interfaces.observer import Observer

#: How long one attempt to register may take, in seconds.
REGISTER_SECONDS: Final = 10.0


class RunReplacedError(RunError):
    """The server has opened another run, or the run went back: what was known of it is over."""

    default_reason = "RUN_REPLACED"


def require_known(reply: RegisterReply) -> None:
    """Refuse to work for a server that wants what this version does not know.

    Raises:
        RefusedError: CODEC or COMPRESSION.
    """
    if reply.update_codec and reply.update_codec not in UPDATE_CODECS:
        msg = f"the server wants updates in codec {reply.update_codec[:64]!r}: not known here"
        hint = "install a runner of the server's version"
        raise RefusedError(msg, reason="CODEC", hint=hint)
    if reply.compression and reply.compression not in compressions():
        msg = f"the server compresses with {reply.compression[:64]!r}: not possible here"
        raise RefusedError(msg, reason="COMPRESSION", hint=MEND)


class Registration:
    """What this client is at a server.

    Args:
        settings: Whom to call, as whom.
        session_key: By which the server knows this client again.
        observer: Sees when the client is registered.
        line: To the server.
        retries: What is done when nobody answers.

    Attributes:
        bound_to: The certificate that the token is good with, PEM; empty without TLS.
    """

    def __init__(
        self,
        settings: SessionSettings,
        session_key: bytes,
        observer: Observer,
        line: Line,
        retries: Retries,
    ) -> None:
        self._settings = settings
        self._key = session_key
        self._observer = observer
        self._line = line
        self._retries = retries
        self._reply: RegisterReply | None = None
        self._registering = asyncio.Lock()
        self.bound_to = b""

    @property
    def is_in(self) -> bool:
        """Whether the server has let this client in."""
        return self._reply is not None

    @property
    def reply(self) -> RegisterReply:
        """What the server told; only after `register`."""
        if self._reply is None:
            msg = "not registered yet"
            raise ValueError(msg)
        return self._reply

    async def register(self) -> RegisterReply:
        """Join the run, however long it takes until somebody answers.

        Raises:
            RefusedError: The server does not want this client.
            CertificateError: TLS does not come about, and waiting will not mend it.
            TimeoutError: Nobody answered within the time given by the settings.
        """
        self._observer.observe(Observation(Topic.CONNECTING, {"target": self._settings.target}))
        async with asyncio.timeout(self._settings.connect_timeout):
            reply = await self._retries.until_it_passes(self._register_once)
        return self._accept(reply)

    async def register_again(self, stale_token: str) -> None:
        """Register under the same session key, unless another call has done it meanwhile.

        Raises:
            RunReplacedError: It is another run, or the run has gone back.
            RefusedError: The server does not want this client any more.
        """
        async with self._registering:
            if self.reply.token != stale_token:
                return  # another call has done it
            before = self.reply
            reply = self._accept(await self._retries.until_it_passes(self._register_once))
        # A server whose workspace was deleted counts runs from the beginning: another epoch.
        if (reply.run_number, reply.epoch) != (before.run_number, before.epoch):
            msg = f"run {before.run_number} is over, or has gone back a round: walk it anew"
            raise RunReplacedError(msg)

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

    async def _register_once(self) -> RegisterReply:
        request = RegisterRequest(
            client_name=self._settings.name,
            session_key=self._key,
            task_name=self._settings.task_name,
            mmar_digest=self._settings.spec.digest,
            runner_version=__version__,
            cross_validate=self._settings.cross_validates,
            combines=self._settings.combines,
            serves_at=self._settings.serves_at,
            update_codecs=[name for name in UPDATE_CODECS if name != NONE],
            compressions=compressions(),
        )
        trust = self._settings.trust
        if trust is not None:
            request.revocations_version = trust.version
        await self._line.identify()
        stub, certificate = self._line.stub, self._line.certificate
        try:
            reply = await stub.register(request, timeout=REGISTER_SECONDS)
        except RefusedError as error:
            if reaction_to(error.reason) is not Reaction.RENEW:
                raise
            await self._retries.renew(error, stub)
            raise UnreachableError(error.message) from error  # again, over the new line
        require_known(reply)
        if reply.revocations:
            await self.take_revocations(reply.revocations)
        self.bound_to = certificate
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
        self._reply, self._retries.begun = reply, True
        facts = {
            "client": self._settings.name,
            "run_number": reply.run_number,
            "num_rounds": reply.num_rounds,
        }
        self._observer.observe(Observation(Topic.REGISTERED, facts))
        return reply
