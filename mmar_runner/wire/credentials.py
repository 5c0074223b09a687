# SPDX-License-Identifier: Apache-2.0
"""TLS credentials from files, followed when the files are renewed.

Both sides show a certificate and ask for one: there is no TLS here without a client
certificate. A server looks at its files (their dates, not their bytes) at every
handshake; a client makes new credentials for a new channel.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import grpc

from mmar_runner.errors import CertificateError
from mmar_runner.wire.tls_files import FollowedIdentity, TlsFiles, TlsMaterial, read_material

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TlsFiles", "channel_credentials", "read_material", "server_credentials"]

_log = logging.getLogger(__name__)


def channel_credentials(tls: TlsFiles | TlsMaterial) -> grpc.ChannelCredentials:
    """Return what a client shows and expects.

    Args:
        tls: The files, or what was read from them.

    Raises:
        CertificateError: TLS_FILES, as `read_material`.
    """
    now = read_material(tls) if isinstance(tls, TlsFiles) else tls
    return grpc.ssl_channel_credentials(now.root, now.key, now.cert)


def server_credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    """Return what a server shows and expects; files that change are taken up.

    Raises:
        CertificateError: TLS_FILES, as `read_material`.
    """
    shown = _ShownFiles(tls)
    # The annotations of the library leave out that None keeps what is in force.
    changed = cast("Callable[[], grpc.ServerCertificateConfiguration]", shown.changed)
    return grpc.dynamic_ssl_server_credentials(
        shown.first, changed, require_client_authentication=True
    )


class _ShownFiles:
    """Files that a server looks at with every handshake, in threads of gRPC."""

    def __init__(self, tls: TlsFiles) -> None:
        self._cert = tls.cert
        self._lock = threading.Lock()
        self._followed = FollowedIdentity(tls)
        self._expired: bytes | None = None
        self.first = _configuration(self._followed.material)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the new configuration, or None if the one in force stays."""
        with self._lock:
            found = self._followed.changed()
            self._check_time(self._followed.material.cert)
        return None if found is None else _configuration(found)

    def _check_time(self, cert: bytes) -> None:
        """Say once that clients will refuse the certificate in force, and once that it is over.

        They see it, we do not.
        """
        # Imported late: only a server with certificates needs it.
        from mmar_runner.security.pki.certificates import (  # noqa: PLC0415
            check_dates,
            load_certificate,
        )

        if cert == self._expired:
            return
        try:
            found = load_certificate(cert)
            period = (found.not_valid_before_utc, found.not_valid_after_utc)
            check_dates(f"this server's certificate {self._cert}", period, datetime.now(UTC))
        except CertificateError as error:
            self._expired = cert
            _log.warning("no client can connect anew: %s; %s", error.message, error.hint)
        else:
            if self._expired is not None:
                self._expired = None
                _log.warning("clients can connect again: %s is in force", self._cert)


def _configuration(material: TlsMaterial) -> grpc.ServerCertificateConfiguration:
    pair = [(material.key, material.cert)]
    return grpc.ssl_server_certificate_configuration(pair, root_certificates=material.root)
