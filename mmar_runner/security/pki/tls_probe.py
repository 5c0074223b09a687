# SPDX-License-Identifier: Apache-2.0
"""Why TLS does not come about, in words: a handshake of our own, looked at closely.

gRPC says of every trouble that the handshake failed, and never whom it spoke to. This
says which trouble it is (a date, a clock, a name, an authority, a peer that refuses us, or
one that speaks plain text), and which certificate the peer showed. It blocks.
"""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmar_runner.errors import CertificateError
from mmar_runner.security.pki.certificates import (
    check_period,
    read_peer_certificate,
)
from mmar_runner.security.pki.shown_certificate import check_shown

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


#: How long the peer may take for each step, in seconds.
STEP_SECONDS: Final = 5.0

#: What peers that speak no TLS make of a handshake, as OpenSSL calls it.
_PLAIN: Final = frozenset(
    ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
)
_ALERT: Final = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_ALERT_(\w+)|TLSV1_(UNRECOGNIZED_NAME)")


@dataclass(frozen=True, slots=True)
class _Question:
    """Whom to call, and with what."""

    host: str
    port: int
    root_pem: bytes
    cert_file: Path
    key_file: Path
    expected_name: str
    now: datetime

    @property
    def target(self) -> str:
        """The peer's address, for sentences."""
        return f"{self.host}:{self.port}"


def look(
    host: str,
    port: int,
    *,
    root_pem: bytes,
    cert_file: Path,
    key_file: Path,
    expected_name: str,
    now: datetime,
) -> bytes | None:
    """Shake hands with a peer, and look at who it is.

    Args:
        host: Where it listens.
        port: Likewise.
        root_pem: The authority that its certificate must come from, PEM.
        cert_file: The own certificate, PEM.
        key_file: Its private key.
        expected_name: The host name or address that its certificate must hold.
        now: The present time, with a time zone.

    Returns:
        The certificate that it showed, PEM; None if nobody answers.

    Raises:
        CertificateError: CERT_EXPIRED or CERT_NOT_YET_VALID (ours or theirs), CERT_HOST,
            CERT_AUTHORITY, CERT_REFUSED, CERT_INVALID, NOT_TLS or TLS_FILES.
    """
    return _look(_Question(host, port, root_pem, cert_file, key_file, expected_name, now))


def _look(asked: _Question) -> bytes | None:
    check_own(asked.cert_file, asked.now)
    try:
        # Once may be a server that is just being stopped.
        shown = _shown_to_us(asked) or _shown_to_us(asked)
    except OSError:
        return None  # nobody answers, or goes away in the middle: it may come back
    if shown is None:
        raise _refused(asked, "it ends the connection as soon as it has seen it")
    return shown


def speaks_tls(host: str, port: int) -> bool:
    """Return whether a peer answers a handshake, whoever it is; False if nobody answers.

    Nothing is said to that peer, and no certificate is shown to it.
    """
    try:
        with socket.create_connection((host, port), STEP_SECONDS) as plain:
            _unverified().wrap_socket(plain, server_hostname=host).close()
    except ssl.SSLError as error:
        return _ALERT.fullmatch(error.reason or "") is not None
    except OSError:
        return False
    return True


def check_own(cert_file: Path, now: datetime) -> None:
    """Refuse an own certificate that does not hold now.

    Raises:
        CertificateError: CERT_EXPIRED, CERT_NOT_YET_VALID or CERT_INVALID; TLS_FILES if
            it cannot be read.
    """
    try:
        pem = cert_file.read_bytes()
    except OSError as error:
        msg = f"{cert_file}: {error.strerror or error}"
        raise CertificateError(msg, reason="TLS_FILES") from error
    try:
        check_period(read_peer_certificate(pem), now)
    except CertificateError as error:
        msg = f"{cert_file}: {error.message}"
        raise CertificateError(msg, reason=error.reason, hint=error.hint) from error


def _shown_to_us(asked: _Question) -> bytes | None:
    """Return the certificate, PEM, of a peer that stays once it has seen ours; else None."""
    context = _verifying(asked)
    with socket.create_connection((asked.host, asked.port), STEP_SECONDS) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=asked.expected_name) as secure:
                # With TLS 1.3 the peer judges our certificate after our handshake is done;
                # if it takes it, HTTP/2 has it speak first.
                return _certificate_of(secure) if _received(secure) else None
        except ssl.SSLCertVerificationError as error:
            raise _judged(asked, error) from error
        except ssl.SSLError as error:
            if (refusal := _refusal(asked, error)) is not None:
                raise refusal from error
            raise


def _verifying(asked: _Question) -> ssl.SSLContext:
    context = _context()
    try:
        context.load_verify_locations(cadata=asked.root_pem.decode("ascii", "replace"))
        context.load_cert_chain(asked.cert_file, asked.key_file, password=lambda: b"")
    except OSError as error:
        msg = f"{asked.cert_file} and {asked.key_file.name} do not load as a pair"
        raise CertificateError(msg, reason="TLS_FILES") from error
    return context


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    return context


def _unverified() -> ssl.SSLContext:
    """Return a context that takes whatever certificate the peer shows."""
    context = _context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _refusal(asked: _Question, error: ssl.SSLError) -> CertificateError | None:
    """Return what an error of the handshake says of the peer; None if nothing."""
    reason = error.reason or ""
    if reason in _PLAIN:
        return CertificateError(
            f"{asked.target} does not speak TLS",
            reason="NOT_TLS",
            hint="is it the server's port, and was the server started with --kit?",
        )
    alert = _ALERT.fullmatch(reason)
    if alert is None:
        return None
    name = (alert[1] or alert[2]).lower().replace("_", " ")
    reason = "CERT_EXPIRED" if name == "certificate expired" else "CERT_REFUSED"
    return _refused(asked, name, reason)


def _refused(asked: _Question, why: str, reason: str = "CERT_REFUSED") -> CertificateError:
    return CertificateError(
        f"{asked.target} refused our certificate {asked.cert_file}: {why}",
        reason=reason,
        hint="both kits must come from one project, and both clocks must be right",
    )


def _received(secure: ssl.SSLSocket) -> bool:
    try:
        return secure.recv(1) != b""
    except ConnectionResetError:
        return False


def _judged(asked: _Question, error: ssl.SSLCertVerificationError) -> CertificateError:
    """Return why the peer's certificate does not hold."""
    fallback = CertificateError(
        f"the certificate of {asked.target} does not hold: {error.verify_message}"
    )
    shown = _shown_certificate(asked)
    if shown is None:
        return fallback
    try:
        check_shown(
            shown, asked.target, asked.expected_name, root_pem=asked.root_pem, now=asked.now
        )
    except CertificateError as found:
        return found
    return fallback


def _shown_certificate(asked: _Question) -> bytes | None:
    """Return the certificate that the peer shows, PEM, whatever it is worth.

    Nothing is said to that peer, and ours is not shown to it.
    """
    address = (asked.host, asked.port)
    try:
        with (
            socket.create_connection(address, STEP_SECONDS) as plain,
            _unverified().wrap_socket(plain, server_hostname=asked.expected_name) as secure,
        ):
            return _certificate_of(secure)
    except OSError:
        return None


def _certificate_of(secure: ssl.SSLSocket) -> bytes | None:
    der = secure.getpeercert(binary_form=True)
    return None if der is None else ssl.DER_cert_to_PEM_cert(der).encode()
