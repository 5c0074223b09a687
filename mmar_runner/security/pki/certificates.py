# SPDX-License-Identifier: Apache-2.0
"""Reading certificates: who, from when until when, and signed by whom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import SignatureAlgorithmOID

from mmar_runner.errors import CertificateError
from mmar_runner.security.identity import Identity, PeerCertificate

if TYPE_CHECKING:
    from mmar_runner.security.pki.envelope import PublicKey

_REMEMBERED: Final = 4096
_MAX_BYTES: Final = 64 * 1024
_MAX_BLOCKS: Final = 8
_AGAIN: Final = "ask whoever provisions the project for the certificate again"

#: What cryptography raises at certificates and requests that somebody else made.
MALFORMED: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)


@lru_cache(maxsize=_REMEMBERED)
def read_peer_certificate(pem: bytes) -> PeerCertificate:
    """Return what a certificate says of its holder; its period and issuer are not judged.

    Args:
        pem: The certificate, PEM; of several the first counts.

    Raises:
        CertificateError: It cannot be read, is not of P-256 and SHA-256, or does not hold
            exactly one URI of a participant (CERT_INVALID).
    """
    certificate = load_certificate(pem)
    if not (_is_signed_as_ours(certificate) and _speaks_for_p256(certificate)):
        raise CertificateError(
            "the certificate is not of ECDSA P-256 with SHA-256, as all are here", hint=_AGAIN
        )
    return PeerCertificate(
        identity=_identity(certificate),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def load_certificate(pem: bytes) -> x509.Certificate:
    """Parse a certificate, PEM, with all that is asked of it later.

    Raises:
        CertificateError: It is none, or a part of it cannot be read (CERT_INVALID).
    """
    if len(pem) > _MAX_BYTES or pem.count(b"-----BEGIN") > _MAX_BLOCKS:
        raise CertificateError("the certificate cannot be read: it is too long", hint=_AGAIN)
    with _translated("the certificate cannot be read"):
        certificate = x509.load_pem_x509_certificate(pem)
        _read_through(certificate)
    if certificate.serial_number <= 0:
        raise CertificateError("the certificate has no serial number above 0", hint=_AGAIN)
    return certificate


def certificate_fingerprint(pem: bytes) -> str:
    """Return the sha256 of a certificate's DER bytes, hex.

    Raises:
        CertificateError: It cannot be read (CERT_INVALID).
    """
    return load_certificate(pem).fingerprint(hashes.SHA256()).hex()


def certificate_hosts(certificate: x509.Certificate) -> list[str]:
    """Return the host names and addresses that a certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    hosts = found.value.get_values_for_type(x509.DNSName)
    addresses = found.value.get_values_for_type(x509.IPAddress)
    return [*hosts, *map(str, addresses)]


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
            hint="ask the project's office for a new one (`mmar-runner provision renew "
            "PROJECT.yml NAME --out DIR` there), or set the clock right",
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
    if not (_is_authority(root) and _speaks_for_p256(root)):
        raise CertificateError("the root certificate is no authority's", reason="CERT_AUTHORITY")
    period = (root.not_valid_before_utc, root.not_valid_after_utc)
    check_dates("the root certificate", period, now)
    try:
        # No other kind of signature is even calculated: it could be none of the root's.
        if not _is_signed_as_ours(certificate):
            raise ValueError("it is not signed with ECDSA and SHA-256")
        certificate.verify_directly_issued_by(root)
    except (*MALFORMED, InvalidSignature) as error:
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
    certificate = load_certificate(pem)
    with _translated("the certificate's key cannot be read"):
        key = certificate.public_key()
    if isinstance(key, ed25519.Ed25519PublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    ):
        return key
    raise CertificateError("the certificate's key is neither P-256 nor Ed25519", hint=_AGAIN)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except MALFORMED as error:
        raise CertificateError(f"{what}: {error}", hint=_AGAIN) from error


def _read_through(certificate: x509.Certificate) -> None:
    """Have every part parsed that is parsed only when it is asked for, and may be malformed."""
    for name in (certificate.subject, certificate.issuer):
        name.rfc4514_string()
    _ = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    _ = (certificate.signature_algorithm_oid, certificate.extensions)


def _is_signed_as_ours(certificate: x509.Certificate) -> bool:
    return certificate.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA256


def _speaks_for_p256(certificate: x509.Certificate) -> bool:
    with _translated("the certificate's key cannot be read"):
        key = certificate.public_key()
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return constraints.value.ca


def _identity(certificate: x509.Certificate) -> Identity:
    with _translated("the certificate names no participant"):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise CertificateError(
            f"the certificate names {len(uris)} participants where one is expected", hint=_AGAIN
        )
    return Identity.from_uri(uris[0])


def _date(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
