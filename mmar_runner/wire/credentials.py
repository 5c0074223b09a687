# SPDX-License-Identifier: Apache-2.0
"""TLS credentials from files, followed when the files are renewed.

Both sides show a certificate and ask for one: there is no TLS here without a client
certificate. A server looks at its files (their dates, not their bytes) at every
handshake; a client makes new credentials for a new channel.
"""

from __future__ import annotations

import logging
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import grpc

from mmar_runner.errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

_Stamp: TypeAlias = tuple[tuple[int, int, int], ...]
#: How often files that change while they are read are read again.
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the three parts of a TLS identity lie, PEM.

    Attributes:
        cert: The certificate.
        key: Its private key.
        root: The authority that certificates of peers must come from.
    """

    cert: Path
    key: Path
    root: Path

    def stamp(self) -> _Stamp:
        """Return what changes when one of the files does.

        Raises:
            CertificateError: TLS_FILES, one cannot be looked at.
        """
        try:
            stats = [path.stat() for path in (self.cert, self.key, self.root)]
        except OSError as error:
            raise _unreadable(error) from error
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """The bytes of `TlsFiles` at one moment; key and certificate are a pair.

    Attributes:
        cert: The certificate.
        key: Its private key; not shown by ``repr``.
        root: The authority.
        stamp: Of the files.
    """

    cert: bytes
    key: bytes
    root: bytes
    stamp: _Stamp

    def __repr__(self) -> str:
        return f"TlsMaterial(stamp={self.stamp})"


def read_material(tls: TlsFiles) -> TlsMaterial:
    """Read the files.

    Raises:
        CertificateError: TLS_FILES, one cannot be read, or they are no pair.
    """
    for _ in range(_ATTEMPTS):
        stamp = tls.stamp()
        try:
            cert, key, root = (path.read_bytes() for path in (tls.cert, tls.key, tls.root))
            _check_pair(tls)
        except OSError as error:  # of which ssl's errors are a kind
            if tls.stamp() != stamp:
                continue
            raise _unreadable(error) from error
        if tls.stamp() == stamp:
            return TlsMaterial(cert, key, root, stamp)
    msg = f"{tls.cert}, its key and {tls.root.name} change while they are read"
    raise CertificateError(msg, reason="TLS_FILES", hint="replace them by renaming, once")


def channel_credentials(tls: TlsFiles) -> grpc.ChannelCredentials:
    """Return what a client shows and expects.

    Raises:
        CertificateError: TLS_FILES, as `read_material`.
    """
    now = read_material(tls)
    return grpc.ssl_channel_credentials(now.root, now.key, now.cert)


def server_credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    """Return what a server shows and expects; files that change are taken up.

    Raises:
        CertificateError: TLS_FILES, as `read_material`.
    """
    followed = _FollowedFiles(tls)
    # The annotations of the library leave out that None keeps what is in force.
    changed = cast("Callable[[], grpc.ServerCertificateConfiguration]", followed.changed)
    return grpc.dynamic_ssl_server_credentials(
        followed.first, changed, require_client_authentication=True
    )


class _FollowedFiles:
    """Files that a server looks at with every handshake, in threads of gRPC."""

    def __init__(self, tls: TlsFiles) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        material = read_material(tls)
        self._seen: _Stamp = material.stamp
        self.first = _configuration(material)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the new configuration, or None if the one in force stays."""
        try:
            stamp = self._tls.stamp()
            with self._lock:
                if stamp == self._seen:
                    return None
                self._seen = stamp  # what cannot be used is told once, not at every handshake
            material = read_material(self._tls)
        except CertificateError as error:
            _log.warning("the TLS certificate in force stays: %s", error.message)
            return None
        _log.info("a renewed TLS certificate was taken up from %s", self._tls.cert)
        return _configuration(material)


def _configuration(material: TlsMaterial) -> grpc.ServerCertificateConfiguration:
    pair = [(material.key, material.cert)]
    return grpc.ssl_server_certificate_configuration(pair, root_certificates=material.root)


def _check_pair(tls: TlsFiles) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Without a password function, an encrypted key would ask on the terminal.
    context.load_cert_chain(tls.cert, tls.key, password=lambda: b"")
    context.load_verify_locations(tls.root)


def _unreadable(error: OSError) -> CertificateError:
    if isinstance(error, ssl.SSLError):
        why = error.reason or "they are no certificate and key"
        msg = f"TLS certificate and private key do not load as a pair: {why}"
    else:
        msg = f"{error.filename}: {error.strerror or error}"
    hint = "certificate, key and root must be those of one start-up kit"
    return CertificateError(msg, reason="TLS_FILES", hint=hint)
