# SPDX-License-Identifier: Apache-2.0
"""Asks a server whether it works, as whoever looks after it does: by gRPC's health service."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NoReturn

from mmar_runner.client.trust import judge_server
from mmar_runner.errors import CertificateError, UnreachableError
from mmar_runner.security.identity import Role
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.credentials import TlsFiles, channel_credentials
from mmar_runner.wire.health_stub import HealthStub
from mmar_runner.wire.tls_files import read_material

if TYPE_CHECKING:
    from mmar_runner.security.kits.kit import StartupKit

#: What a service that can be used is called.
SERVING: Final = "SERVING"
#: Between two attempts while something is waited for, in seconds: nothing tells that a port
#: is open.
_PAUSE: Final = 0.3


@dataclass(frozen=True, slots=True)
class HealthQuestion:
    """What is asked, of whom.

    Attributes:
        target: Where the server listens, ``host:port``.
        service: Its full name; empty for the server as a whole.
        kit: Who asks; None speaks plain text.
        expected_name: What the server's certificate must name; None for the target's host.
        timeout: How long one answer may take, in seconds.
    """

    target: str
    service: str = ""
    kit: StartupKit | None = None
    expected_name: str | None = None
    timeout: float = 5.0

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the target."""
        host, _, port = self.target.rpartition(":")
        return host.strip("[]"), int(port)


async def wait_for_health(question: HealthQuestion, *, wait: float) -> str:
    """Return what a server says, once it is ``SERVING`` or so many seconds are over.

    Args:
        question: What is asked.
        wait: Seconds for which the server may be away, or not ready.

    Raises:
        MmarRunnerError: As `ask_health`; that nobody answers, only after that time.
    """
    until = time.monotonic() + wait
    while True:
        last = time.monotonic() + _PAUSE > until
        try:
            status = await ask_health(question)
        except UnreachableError:
            if last:
                raise
        else:
            if last or status == SERVING:
                return status
        await asyncio.sleep(_PAUSE)


async def ask_health(question: HealthQuestion) -> str:
    """Return what a server says of a service: ``SERVING``, ``NOT_SERVING``, ...

    Raises:
        UnreachableError: There is no answer in time.
        CertificateError: TLS does not come about, or the server is not to be trusted.
        RefusedError: SERVICE_UNKNOWN, or it does not let us ask.
        WireError: What answers is no such server.
    """
    kit, credentials = question.kit, None
    if kit is not None:
        credentials = channel_credentials(read_material(_tls(kit)))
    channel = open_channel(
        question.target, credentials=credentials, expected_name=question.expected_name
    )
    began = time.monotonic()
    try:
        stub = HealthStub(channel, question.target)
        status = await stub.check(question.service, timeout=question.timeout)
    except UnreachableError as error:
        if time.monotonic() - began >= question.timeout:
            hint = "is it the right port? A server that is only busy: --timeout SECONDS"
            raise UnreachableError(error.message, hint=hint) from error
        await in_thread(_raise_cause, question, error)
    finally:
        await channel.close(None)
    if kit is not None:
        await in_thread(_judge, question, kit)  # before the answer is believed
    return status


def _tls(kit: StartupKit) -> TlsFiles:
    return TlsFiles(kit.cert_file, kit.key_file, kit.root_file)


def _judge(question: HealthQuestion, kit: StartupKit) -> None:
    """Refuse the answer of a server that is not to be trusted. Blocks."""
    # Imported late: it needs cryptography, and whoever speaks plain text does not.
    from mmar_runner.security.pki.tls_probe import look  # noqa: PLC0415

    host, port = question.address
    tls = _tls(kit)
    shown = look(
        host,
        port,
        root_pem=read_material(tls).root,
        cert_file=tls.cert,
        key_file=tls.key,
        expected_name=question.expected_name or host,
        now=datetime.now(UTC),
    )
    if shown is None:
        raise UnreachableError(f"{question.target} has answered, and is gone now")
    judge_server(shown, kit, kit.revocation_memory(), question.target)


def _raise_cause(question: HealthQuestion, error: UnreachableError) -> NoReturn:
    """Raise why nobody answers, as far as TLS knows. Blocks."""
    # Imported late: a server that answers has no trouble.
    from mmar_runner.client.connection.tls_trouble import (  # noqa: PLC0415
        look_for_tls,
        require_name,
    )

    host, port = question.address
    require_name(host)
    if question.kit is not None:
        _judge_trouble(question, question.kit)
    elif (trouble := look_for_tls(host, port)) is not None:
        raise trouble.error from error
    raise UnreachableError(error.message, hint=_AWAY) from error


_AWAY: Final = (
    "is the server running? One of a single run listens once that is open, and a combiner with "
    "its first model. Another address: `mmar-runner health HOST:PORT`"
)


def _judge_trouble(question: HealthQuestion, kit: StartupKit) -> None:
    try:
        _judge(question, kit)
    except UnreachableError:
        return  # it does not answer TLS either: that is no more than is known
    except CertificateError as error:
        if error.reason != "CERT_REFUSED" or kit.identity.role is not Role.SERVER:
            raise
        hint = (
            "a server's certificate of an earlier version cannot ask: have it renewed "
            f"(`provision renew PROJECT.yml {kit.identity.name}`), or ask with another kit"
        )
        raise CertificateError(error.message, reason=error.reason, hint=hint) from error
