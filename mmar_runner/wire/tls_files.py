# SPDX-License-Identifier: Apache-2.0
"""The files of a TLS identity, and what is in force while they are replaced.

Whether they changed is seen from their dates, not from their bytes, so that it can be
asked often.
"""

from __future__ import annotations

import logging
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from mmar_runner.errors import CertificateError

_log = logging.getLogger(__name__)

_Stamp: TypeAlias = tuple[tuple[int, int, int, int], ...]
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
        # Whoever replaces a file may keep its date and size; nobody sets the ctime.
        return tuple(
            (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino) for stat in stats
        )


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

    def same_as(self, other: TlsMaterial) -> bool:
        """Return True if the bytes are the same, whatever became of the files."""
        return (self.cert, self.key, self.root) == (other.cert, other.key, other.root)


class FollowedFiles:
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
        self._told = ""
        self._since = 0.0
        self.material = read_material(tls)

    @property
    def unusable_seconds(self) -> float:
        """For how long the files cannot be used, as far as was looked; 0.0 if they can."""
        return time.monotonic() - self._since if self._told else 0.0

    def changed(self) -> TlsMaterial | None:
        """Look at the files; return what is in force from now on, None if nothing changed."""
        try:
            if self._tls.stamp() == self.material.stamp:
                self._well()
                return None
            found = read_material(self._tls)
        except CertificateError as error:
            self._tell(error)
            return None
        # Only what can be used counts as seen: a mended file need not look changed.
        before, self.material = self.material, found
        self._well(renewed=found.cert != before.cert)
        return None if found.same_as(before) else found

    def _tell(self, error: CertificateError) -> None:
        if error.message != self._told:
            self._since = self._since if self._told else time.monotonic()
            self._told = error.message
            _log.warning("the TLS certificate in force stays: %s", error.message)

    def _well(self, *, renewed: bool = False) -> None:
        news = ["the TLS files can be used again"] if self._told else []
        self._told = ""
        if renewed:
            news.append(f"a new certificate is in force{_until(self.material.cert)}")
        if news:
            # As loud as the complaint that it takes back.
            _log.warning("%s: %s", ", and ".join(news), self._tls.cert)


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
