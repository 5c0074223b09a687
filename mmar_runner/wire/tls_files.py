# SPDX-License-Identifier: Apache-2.0
"""The files of a TLS identity, and what is in force while they are replaced.

Whether they changed is seen from their dates, not from their bytes, so that it can be
asked often.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from mmar_runner.errors import CertificateError, MmarRunnerError
from mmar_runner.storage.followed import FollowedFiles, Stamp, stamp_of

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

    def stamp(self) -> Stamp:
        """Return what changes when one of the files does.

        Raises:
            CertificateError: TLS_FILES, one cannot be looked at.
        """
        try:
            return stamp_of(self.cert, self.key, self.root)
        except OSError as error:
            raise _unreadable(error) from error


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """The bytes of `TlsFiles` at one moment; key and certificate are a pair.

    Attributes:
        cert: The certificate.
        key: Its private key; not shown by ``repr``.
        root: The authority.
    """

    cert: bytes
    key: bytes = field(repr=False)
    root: bytes


class FollowedIdentity:
    """The files of a TLS identity that is in force, looked at now and then.

    What cannot be used is told once for every change of state, and once when it is well
    again; until then what is in force stays. Not safe for threads.

    Args:
        tls: The files.

    Attributes:
        material: What is in force.

    Raises:
        CertificateError: TLS_FILES, as `read_material`.
    """

    def __init__(self, tls: TlsFiles) -> None:
        self._tls = tls
        # Whatever is wrong, half a renewal or a lack of file descriptors: it may pass.
        self._files = FollowedFiles(
            tls.cert, tls.key, tls.root, what="the TLS identity", passing=(MmarRunnerError,)
        )
        # The first look reads them once more, for they may change right now.
        self.material = read_material(tls)

    @property
    def unusable_seconds(self) -> float:
        """For how long the files cannot be used, as far as was looked; 0.0 if they can."""
        return self._files.unusable_seconds

    def changed(self) -> TlsMaterial | None:
        """Look at the files; return what is in force from now on, None if nothing changed."""
        found = self._files.changed(partial(read_material, self._tls), self._news)
        if found is None or found == self.material:
            return None
        self.material = found
        return found

    def _news(self, found: TlsMaterial) -> str:
        if found.cert == self.material.cert:
            return ""
        return f"a new certificate is in force{_until(found.cert)}"


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
            return TlsMaterial(cert, key, root)
    msg = f"{tls.cert}, its key and {tls.root.name} change while they are read"
    raise CertificateError(msg, reason="TLS_FILES", hint="replace them by renaming, once")


def _check_pair(tls: TlsFiles) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Without a password function, an encrypted key would ask on the terminal.
    context.load_cert_chain(tls.cert, tls.key, password=lambda: b"")
    context.load_verify_locations(tls.root)


def _until(cert: bytes) -> str:
    """Return until when a certificate holds, as it ends a phrase; empty if it does not say."""
    # Imported late: only a renewal needs it.
    from mmar_runner.security.pki.certificates import load_certificate  # noqa: PLC0415

    try:
        return f" until {load_certificate(cert).not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC"
    except CertificateError:
        return ""


def _unreadable(error: OSError) -> CertificateError:
    if isinstance(error, ssl.SSLError):
        why = error.reason or "they are no certificate and key"
        msg = f"TLS certificate and private key do not load as a pair: {why}"
    else:
        msg = f"{error.filename}: {error.strerror or error}"
    hint = "certificate, key and root must be those of one start-up kit"
    return CertificateError(msg, reason="TLS_FILES", hint=hint)
