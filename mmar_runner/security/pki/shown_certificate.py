# SPDX-License-Identifier: Apache-2.0
"""Why a certificate that a peer showed does not hold: its authority, its dates or its names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes

from mmar_runner.errors import CertificateError
from mmar_runner.security.pki.certificates import (
    certificate_hosts,
    check_dates,
    check_issuer,
    load_certificate,
)

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509


def check_shown(
    pem: bytes, target: str, expected_name: str, *, root_pem: bytes, now: datetime
) -> None:
    """Refuse a certificate that a peer showed, and say why.

    Args:
        pem: The certificate.
        target: The peer's address, for sentences.
        expected_name: The host name or address that the certificate must hold.
        root_pem: The authority that it must come from, PEM.
        now: The present time, with a time zone.

    Raises:
        CertificateError: CERT_AUTHORITY, CERT_EXPIRED, CERT_NOT_YET_VALID, CERT_HOST or
            CERT_INVALID.
    """
    certificate = load_certificate(pem)
    try:
        check_issuer(pem, root_pem, now)
    except CertificateError as error:
        if error.reason != "CERT_AUTHORITY":
            raise
        raise _of_another(certificate, target, root_pem) from error
    period = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    check_dates(f"the certificate of {target}", period, now)
    names = certificate_hosts(certificate)
    if expected_name not in names:
        raise CertificateError(
            f"{target} was called {expected_name!r}, and its certificate is for "
            f"{', '.join(names) or 'no host'}",
            reason="CERT_HOST",
            hint="call it by a name of its certificate, or ask the project's office to add that "
            "name to host_names and to renew the server's certificate",
        )


def _of_another(certificate: x509.Certificate, target: str, root_pem: bytes) -> CertificateError:
    return CertificateError(
        f"the certificate of {target} (sha256 {_fingerprint(certificate)}, issued by "
        f"{certificate.issuer.rfc4514_string()!r}) is not from our authority "
        f"(sha256 {_fingerprint(load_certificate(root_pem))})",
        reason="CERT_AUTHORITY",
        hint="is it the right server? Both kits must come from one project",
    )


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()
