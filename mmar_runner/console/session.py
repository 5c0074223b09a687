# SPDX-License-Identifier: Apache-2.0
"""One session of an administrator: opened by certificate, every order signed where it is typed."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mmar_runner import __version__
from mmar_runner.client.connection.line import Line
from mmar_runner.client.trust import judge_server
from mmar_runner.console import told
from mmar_runner.errors import RefusedError, UnreachableError
from mmar_runner.orders import naming
from mmar_runner.orders.order import LIFE, new_order, signed
from mmar_runner.orders.typed import understood
from mmar_runner.security.pki.keys import load_release_key
from mmar_runner.wire.admin_stub import AdminStub
from mmar_runner.wire.messages import ExecuteRequest, LoginRequest, LogoutRequest
from mmar_runner.wire.tls_files import TlsFiles

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from mmar_runner.interfaces.admin_command import CommandCall, CommandSpec
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.security.pki.envelope import PrivateKey

#: How long the server may take to let an administrator in, in seconds.
_LOGIN_SECONDS: Final = 10.0
#: How long an order to queue a run is good: the run may begin much later.
_QUEUE_LIFE: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What a server told when it let an administrator in.

    Attributes:
        token: Of the session.
        project: The project's name.
        specs: What can be ordered, by name.
        clients: Who could be meant.
        server_version: Of the server's runner.
        idle_seconds: A session that is not used for longer is over.
    """

    token: str
    project: str
    specs: Mapping[str, CommandSpec]
    clients: Sequence[str]
    server_version: str
    idle_seconds: float


class AdminSession:
    """Orders of one administrator to one server.

    Args:
        kit: The administrator's.
        key: The release key that signs orders.
        line: The connection.
        stub: The server's calls over it.
        admitted: What the server told.

    Attributes:
        target: Where the server answers, ``host:port``.
    """

    def __init__(
        self, kit: StartupKit, key: PrivateKey, line: Line, stub: AdminStub, admitted: Admitted
    ) -> None:
        self._kit = kit
        self._key = key
        self._line = line
        self.stub = stub
        self.admitted = admitted
        self.target = stub.target

    @property
    def user(self) -> str:
        """Whose session it is."""
        return self._kit.identity.name

    @property
    def kit_folder(self) -> Path:
        """Where the start-up kit lies."""
        return self._kit.folder

    @property
    def certificate_until(self) -> str:
        """Until when the administrator's certificate holds, UTC, ISO 8601."""
        return f"{self._kit.certificate.not_after:%Y-%m-%dT%H:%M:%SZ}"

    @property
    def is_connected(self) -> bool:
        """Whether the server is there, as far as it is known."""
        return self._line.is_connected

    async def pause(self, seconds: float) -> None:
        """Wait so many seconds, or until a connection that was lost is there again."""
        await self._line.pause(seconds)

    def understood(self, words: Sequence[str]) -> CommandCall:
        """Return the call that words make, checked as the server will.

        Raises:
            UsageError: There is no such command, or its arguments are wrong.
        """
        return understood(words, self.admitted.specs, self.user)

    def signed(self, words: Sequence[str]) -> bytes:
        """Return words as an order of this administrator."""
        life = _QUEUE_LIFE if words[0] == "enqueue" else LIFE
        project, now = self._kit.identity.project, datetime.now(UTC)
        order = new_order(project, self.user, tuple(words), now=now, life=life)
        return signed(order, self._key)

    async def execute(self, words: Sequence[str]) -> AsyncGenerator[dict[str, Any], None]:
        """Order something and yield its events, as in the schema ``admin_event``.

        Raises:
            UsageError: The words make no order.
            RefusedError: The server refuses it.
            WireError: The call broke off.
        """
        words = await self._bound(self.understood(words), words)
        async with aclosing(self._executed(words)) as events:
            async for event in events:
                yield event

    async def _bound(self, call: CommandCall, words: Sequence[str]) -> Sequence[str]:
        """Return the words with the digest of the MMAR that they mean by its name alone.

        What is signed then means what the server says now, and nothing else later.
        """
        if not call.spec.parameters or call.spec.parameters[0].name != naming.PARAMETER:
            return words
        meant = naming.named_mmar(words[1])
        if meant.digest or "list_mmars" not in self.admitted.specs:
            return words
        uploaded: dict[str, str] = {}
        try:
            async with aclosing(self._executed(["list_mmars"])) as events:
                async for event in events:
                    if event["kind"] == "value":
                        uploaded = told.digests(event["value"])
        except RefusedError:
            return words  # the order itself is answered, and why
        digest = uploaded.get(meant.name, "")
        return [words[0], str(naming.NamedMmar(meant.name, digest)), *words[2:]]

    async def _executed(self, words: Sequence[str]) -> AsyncGenerator[dict[str, Any], None]:
        request = ExecuteRequest(token=self.admitted.token, order=self.signed(words))
        async with aclosing(self.stub.execute(request)) as parts:
            async for part in parts:
                yield told.event(part.event)


@asynccontextmanager
async def admin_session(
    kit: StartupKit, target: str, *, seconds: float = _LOGIN_SECONDS
) -> AsyncIterator[AdminSession]:
    """Log in for the block, and out at its end.

    Args:
        kit: An administrator's.
        target: Where the server answers administrators, ``host:port``.
        seconds: How long the server may take to let us in.

    Raises:
        UnreachableError: Nobody answers.
        CertificateError: TLS does not come about, or the server is not to be trusted.
        RefusedError: The server does not let this administrator in.
        KitError: The release key cannot be read.
    """
    assert kit.release_key_file is not None  # noqa: S101 - an administrator's kit has one
    key = load_release_key(kit.release_key_file)
    tls = TlsFiles(kit.cert_file, kit.key_file, kit.root_file)
    memory = kit.revocation_memory()
    judge = partial(judge_server, kit=kit, revocations=memory, target=target)
    line = Line(target, tls, judge)
    try:
        await _identify(line)
        stub = AdminStub(line.channel, target)
        request = LoginRequest(user=kit.identity.name, runner_version=__version__)
        reply = await stub.login(request, timeout=seconds)
        admitted = Admitted(
            reply.token,
            reply.project,
            told.commands(reply.commands),
            list(reply.clients),
            reply.server_version,
            reply.idle_seconds,
        )
        session = AdminSession(kit, key, line, stub, admitted)
        try:
            yield session
        finally:
            await _log_out(stub, reply.token)
    finally:
        await line.close()


async def _identify(line: Line) -> None:
    try:
        await line.identify()
    except UnreachableError as error:
        trouble = await line.trouble()
        if trouble is not None:
            raise trouble.error from error
        hint = "is the server running, without an MMAR? Another address: --server HOST:PORT"
        raise UnreachableError(error.message, hint=hint) from error


async def _log_out(stub: AdminStub, token: str) -> None:
    try:
        await stub.logout(LogoutRequest(token=token), timeout=2.0)
    except (UnreachableError, RefusedError):
        return  # the session ends by itself
