# SPDX-License-Identifier: Apache-2.0
"""A look at the server that does not answer: why not, in words, and who it is. It blocks."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mmar_runner.errors import CertificateError, UnreachableError
from mmar_runner.wire.tls_files import read_material

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmar_runner.wire.tls_files import TlsFiles


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


def look_at_server(
    host: str, port: int, tls: TlsFiles, judge: Callable[[bytes], None] | None
) -> Trouble | bytes | None:
    """Return what is wrong, or the server's certificate, PEM; None if nobody answers."""
    # Imported late: only a line with certificates needs it.
    from mmar_runner.security.pki.tls_probe import check_own, look  # noqa: PLC0415

    now = datetime.now(UTC)
    try:
        root = read_material(tls).root
        check_own(tls.cert, now)
    except CertificateError as error:
        return Trouble(error, ours=error.reason == "CERT_EXPIRED")
    try:
        shown = look(
            host,
            port,
            root_pem=root,
            cert_file=tls.cert,
            key_file=tls.key,
            expected_name=host,
            now=now,
        )
        if shown is not None and judge is not None:
            judge(shown)
    except CertificateError as error:
        return Trouble(_told_to_a_client(error, f"{host}:{port}"), ours=False)
    return shown


def look_for_tls(host: str, port: int) -> Trouble | None:
    """Return why a server takes no plain text, if that is why it does not answer."""
    from mmar_runner.security.pki.tls_probe import speaks_tls  # noqa: PLC0415 - as above

    if not speaks_tls(host, port):
        return None
    msg = f"{host}:{port} speaks TLS, and this client plain text"
    hint = "give --kit DIR in place of --insecure; or is it another server's port?"
    return Trouble(CertificateError(msg, hint=hint, reason="TLS_NEEDED"), ours=False)


def _told_to_a_client(error: CertificateError, target: str) -> CertificateError:
    """Return what is wrong at the server with a mend for somebody at a client."""
    if error.reason != "CERT_EXPIRED" or not error.message.startswith(
        f"the certificate of {target}"
    ):
        return error
    hint = "tell whoever runs the server that it needs a new certificate; or set the clock right"
    return CertificateError(error.message, reason=error.reason, hint=hint)


def require_name(host: str) -> None:
    """Refuse the name of a server that nobody here can tell the address of. Blocks.

    Raises:
        UnreachableError: There is no such name.
    """
    try:
        socket.getaddrinfo(host, None)
    except socket.gaierror as error:
        msg = f"this machine cannot find the name {host}"
        hint = (
            "is it spelled right? Ask whoever keeps the names of this network, or write the "
            "server's address beside it in /etc/hosts"
        )
        raise UnreachableError(msg, hint=hint) from error
