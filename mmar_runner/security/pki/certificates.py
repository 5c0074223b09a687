# SPDX-License-Identifier: Apache-2.0
"""Reading certificates: who, from when until when, and signed by whom."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from mmar_runner.errors import CertificateError
from mmar_runner.security.identity import Identity, PeerCertificate

if TYPE_CHECKING:
    from mmar_runner.security.pki.envelope import PublicKey

_REMEMBERED: Final = 4096
_MAX_BYTES: Final = 64 * 1024


@lru_cache(maxsize=_REMEMBERED)
def read_peer_certificate(pem: bytes) -> PeerCertificate:
    """Return what a certificate says of its holder; its period and issuer are not judged.

    Args:
        pem: The certificate, PEM; of several the first counts.

    Raises:
        CertificateError: It cannot be read, or it does not hold exactly one URI of a
            participant (CERT_INVALID).
    """
    certificate = load_certificate(pem)
    return PeerCertificate(
        identity=_identity(certificate),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def load_certificate(pem: bytes) -> x509.Certificate:
    """Parse a certificate, PEM.

    Raises:
        CertificateError: It is none (CERT_INVALID).
    """
    if len(pem) > _MAX_BYTES:
        raise CertificateError("the certificate cannot be read: it is too long")
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise CertificateError(f"the certificate cannot be read: {error}") from error


def certificate_fingerprint(pem: bytes) -> str:
    """Return the sha256 of a certificate's DER bytes, hex.

    Raises:
        CertificateError: It cannot be read (CERT_INVALID).
    """
    return load_certificate(pem).fingerprint(hashes.SHA256()).hex()


def check_period(certificate: PeerCertificate, now: datetime) -> None:
    """Refuse a certificate outside its time.

    Args:
        certificate: Whose time is judged.
        now: The present time, with a time zone.

    Raises:
        CertificateError: Its time is over (CERT_EXPIRED) or has not begun
            (CERT_NOT_YET_VALID).
    """
    check_dates(
        f"the certificate of {certificate.identity.name}",
        (certificate.not_before, certificate.not_after),
        now,
    )


def check_dates(what: str, period: tuple[datetime, datetime], now: datetime) -> None:
    """Refuse a period that does not hold `now`; otherwise as `check_period`.

    Args:
        what: Whose period it is, as it begins the sentence.
        period: From when until when, both with a time zone.
        now: The present time, with a time zone.

    Raises:
        CertificateError: CERT_EXPIRED or CERT_NOT_YET_VALID.
    """
    begin, end = period
    if now >= end:
        raise CertificateError(
            f"{what} expired on {_date(end)}; the clock here says {_date(now)}",
            hint="renew it (`mmar-runner provision renew`), or set the clock right",
            reason="CERT_EXPIRED",
        )
    if now < begin:
        raise CertificateError(
            f"{what} holds from {_date(begin)} on; the clock here says {_date(now)}",
            hint="set the clock right; the certificate is not valid before that time",
            reason="CERT_NOT_YET_VALID",
        )


def check_issuer(certificate_pem: bytes, root_pem: bytes, now: datetime) -> None:
    """Refuse a certificate that the root did not issue, and a root that is none.

    Raises:
        CertificateError: Another authority's (CERT_AUTHORITY), or the root's own time is
            over or has not begun (CERT_EXPIRED, CERT_NOT_YET_VALID).
    """
    certificate, root = load_certificate(certificate_pem), load_certificate(root_pem)
    if not _is_authority(root):
        raise CertificateError("the root certificate is no authority's", reason="CERT_AUTHORITY")
    period = (root.not_valid_before_utc, root.not_valid_after_utc)
    check_dates("the root certificate", period, now)
    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature) as error:
        fingerprint = root.fingerprint(hashes.SHA256()).hex()
        raise CertificateError(
            f"the certificate {certificate.subject.rfc4514_string()} was not issued by the "
            f"root with the fingerprint {fingerprint}",
            hint="certificate and root must come from the same project",
            reason="CERT_AUTHORITY",
        ) from error


def certificate_key(pem: bytes) -> PublicKey:
    """Return the public key that a certificate speaks for.

    Raises:
        CertificateError: It cannot be read, or its key is of a kind not used here
            (CERT_INVALID).
    """
    key = load_certificate(pem).public_key()
    if isinstance(key, ed25519.Ed25519PublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    ):
        return key
    raise CertificateError("the certificate's key is neither P-256 nor Ed25519")


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return constraints.value.ca


def _identity(certificate: x509.Certificate) -> Identity:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as error:
        raise CertificateError(f"the certificate names no participant: {error}") from error
    uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise CertificateError(
            f"the certificate names {len(uris)} participants where one is expected"
        )
    return Identity.from_uri(uris[0])


def _date(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
