# SPDX-License-Identifier: Apache-2.0
"""The line to the server: one channel, made anew when certificate files were renewed.

gRPC reads certificates when a channel is made and never again. So the line looks at the
files' dates with every heartbeat and before every new attempt, never on the way of a
call; what the old channel carried is broken off and goes on over the new one.

gRPC does not tell whom it speaks to either. So the line first looks for itself which
certificate the server shows, has it judged (a key that was stolen is revoked), and then
trusts that one certificate alone: whoever shows another is not spoken to.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mmar_runner.client.connection.tls_trouble import (
    Trouble,
    look_at_server,
    look_for_tls,
    require_name,
)
from mmar_runner.errors import UnreachableError
from mmar_runner.waiting.races import end
from mmar_runner.waiting.threads import in_thread
from mmar_runner.wire.channel import Connectivity, open_channel
from mmar_runner.wire.credentials import channel_credentials
from mmar_runner.wire.stub import FederationStub
from mmar_runner.wire.tls_files import FollowedIdentity

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc.aio

    from mmar_runner.wire.tls_files import TlsFiles


#: How long calls may go on over the old channel, in seconds.
SETTLE_SECONDS: Final = 1.0
#: How long a renewal may take from its first file to its last, in seconds.
TORN_SECONDS: Final = 60.0


class Line:
    """A channel to a server, and the calls over it.

    Args:
        target: The server, ``host:port`` or ``unix:/path``.
        tls: Where certificate, key and root lie; None speaks plain text.
        judge: Raises `CertificateError` for a server's certificate, PEM, that is not to be
            trusted although the authority issued it. It may block.

    Attributes:
        channel: What calls go over; another object once it was made anew.
        stub: The calls of a run over it.

    Raises:
        CertificateError: TLS_FILES, the files cannot be used.
    """

    def __init__(
        self, target: str, tls: TlsFiles | None, judge: Callable[[bytes], None] | None = None
    ) -> None:
        self._target = target
        self._tls = tls
        self._judge = judge
        self._server: bytes | None = None
        self._files = None if tls is None else FollowedIdentity(tls)
        self._closing: set[asyncio.Task[None]] = set()
        self._open()

    @property
    def is_torn(self) -> bool:
        """Whether the files cannot be used since a moment: somebody may be replacing them."""
        return self._files is not None and 0 < self._files.unusable_seconds < TORN_SECONDS

    @property
    def is_connected(self) -> bool:
        """Whether the channel has a connection, as far as it is known."""
        return self._connectivity.is_connected

    @property
    def is_plain(self) -> bool:
        """Whether it speaks plain text."""
        return self._tls is None

    @property
    def certificate(self) -> bytes:
        """What is shown to the server over the channel in force, PEM; empty without TLS."""
        return b"" if self._files is None else self._files.material.cert

    def _open(self) -> None:
        credentials = None
        if self._files is not None:
            material = self._files.material
            trusted = material if self._server is None else replace(material, root=self._server)
            credentials = channel_credentials(trusted)
        self.channel = open_channel(self._target, credentials=credentials)
        self._connectivity = Connectivity(self.channel)
        self.stub = FederationStub(self.channel, self._target)

    async def follow(self) -> bool:
        """Make the channel anew if the files changed and can be used.

        Returns:
            True if it was made anew; calls on the old one break off a little later.
        """
        if self._files is None or self._files.changed() is None:
            return False
        self._open_anew()
        return True

    def _open_anew(self) -> None:
        old = (self.channel, self._connectivity)
        self._open()
        self._closing.add(asyncio.create_task(_close_later(*old)))

    async def pause(self, seconds: float) -> None:
        """Wait so many seconds before a call is tried again, or until the line is up again."""
        await self._connectivity.pause(seconds)

    async def identify(self) -> None:
        """Learn who the server is, before anything is said to it.

        Raises:
            UnreachableError: Nobody answers, or it is not to be trusted; `trouble` says which.
        """
        if self._tls is None or self._server is not None:
            return
        trouble = await self.trouble()
        if self._server is None:
            if trouble is None:
                await in_thread(require_name, self._target.rpartition(":")[0].strip("[]"))
            message = trouble.error.message if trouble else f"no answer from {self._target}"
            raise UnreachableError(message)

    async def judge_again(self) -> None:
        """Judge the server anew, as after a newer list of revocations.

        Raises:
            CertificateError: It is no longer to be trusted.
        """
        if self._judge is not None and self._server is not None:
            await in_thread(self._judge, self._server)

    async def trouble(self) -> Trouble | None:
        """Find out whether nobody answers because of TLS, or its lack; None if not.

        A server that has another certificate, which is to be trusted, is spoken to from then
        on.
        """
        host, _, port = self._target.rpartition(":")
        if not port.isdecimal():
            return None
        if self._tls is None:
            return await in_thread(look_for_tls, host.strip("[]"), int(port))
        found = await in_thread(look_at_server, host.strip("[]"), int(port), self._tls, self._judge)
        if isinstance(found, bytes) and found != self._server:
            self._server = found
            self._open_anew()
        return found if isinstance(found, Trouble) else None

    async def close(self) -> None:
        """Close the channel; running calls are given up."""
        await end(*self._closing)
        await self._connectivity.close()
        await self.channel.close(None)


async def _close_later(channel: grpc.aio.Channel, connectivity: Connectivity) -> None:
    # A call that has only just begun would wait for ever for a channel that is gone.
    try:
        await asyncio.sleep(SETTLE_SECONDS)
    finally:
        await connectivity.close()
        await channel.close(None)
