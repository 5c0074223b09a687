# SPDX-License-Identifier: Apache-2.0
"""The line to the server: one channel, made anew when certificate files were renewed.

gRPC reads certificates when a channel is made and never again. So the line looks at the
files' dates with every heartbeat and before every new attempt, never on the way of a
call; what the old channel carried is broken off and goes on over the new one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mmar_runner.client.races import end
from mmar_runner.client.threads import in_thread
from mmar_runner.errors import CertificateError
from mmar_runner.wire.channel import open_channel
from mmar_runner.wire.credentials import channel_credentials
from mmar_runner.wire.stub import FederationStub
from mmar_runner.wire.tls_files import FollowedFiles, read_material

if TYPE_CHECKING:
    import grpc.aio

    from mmar_runner.wire.tls_files import TlsFiles


#: How long calls may go on over the old channel, in seconds.
SETTLE_SECONDS: Final = 1.0
#: How long a renewal may take from its first file to its last, in seconds.
TORN_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why TLS does not come about.

    Attributes:
        error: In words.
        ours: True if our own certificate has expired, which no server can mend.
    """

    error: CertificateError
    ours: bool

    @property
    def is_passing(self) -> bool:
        """Whether it ends by itself: the files were whole when the line was made."""
        return self.error.reason == "TLS_FILES"


class Line:
    """A channel to a server, and the calls over it.

    Args:
        target: The server, ``host:port`` or ``unix:/path``.
        tls: Where certificate, key and root lie; None speaks plain text.

    Attributes:
        stub: The calls; another object once the channel was made anew.

    Raises:
        CertificateError: TLS_FILES, the files cannot be used.
    """

    def __init__(self, target: str, tls: TlsFiles | None) -> None:
        self._target = target
        self._tls = tls
        self._files = None if tls is None else FollowedFiles(tls)
        self._closing: set[asyncio.Task[None]] = set()
        self._open()

    @property
    def is_torn(self) -> bool:
        """Whether the files cannot be used since a moment: somebody may be replacing them."""
        return self._files is not None and 0 < self._files.unusable_seconds < TORN_SECONDS

    def _open(self) -> None:
        credentials = None if self._files is None else channel_credentials(self._files.material)
        self._channel = open_channel(self._target, credentials=credentials)
        self.stub = FederationStub(self._channel, self._target)

    async def follow(self) -> bool:
        """Make the channel anew if the files changed and can be used.

        Returns:
            True if it was made anew; calls on the old one break off a little later.
        """
        if self._files is None or self._files.changed() is None:
            return False
        old = self._channel
        self._open()
        self._closing.add(asyncio.create_task(_close_later(old)))
        return True

    async def trouble(self) -> Trouble | None:
        """Find out why nobody answers over TLS; None if that has another cause."""
        host, _, port = self._target.rpartition(":")
        if self._tls is None or not port.isdecimal():
            return None
        return await in_thread(_probed, host.strip("[]"), int(port), self._tls)

    async def close(self) -> None:
        """Close the channel; running calls are given up."""
        await end(*self._closing)
        await self._channel.close(None)


async def _close_later(channel: grpc.aio.Channel) -> None:
    # A call that has only just begun would wait for ever for a channel that is gone.
    try:
        await asyncio.sleep(SETTLE_SECONDS)
    finally:
        await channel.close(None)


def _probed(host: str, port: int, tls: TlsFiles) -> Trouble | None:
    # Imported late: only a line with certificates needs it, and only in trouble.
    from mmar_runner.security.pki.tls_probe import check_own, probe  # noqa: PLC0415

    now = datetime.now(UTC)
    try:
        root = read_material(tls).root
        check_own(tls.cert, now)
    except CertificateError as error:
        return Trouble(error, ours=error.reason == "CERT_EXPIRED")
    found = probe(
        host,
        port,
        root_pem=root,
        cert_file=tls.cert,
        key_file=tls.key,
        expected_name=host,
        now=now,
    )
    return None if found is None else Trouble(found, ours=False)
