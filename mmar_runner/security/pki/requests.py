# SPDX-License-Identifier: Apache-2.0
"""Requests: a participant makes its own keys and sends only what is public of them.

A request is one PEM file with a certificate signing request for each key, so that who
asks has shown to hold the private keys: the first for TLS, and an administrator's second
for signing MMARs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import SignatureAlgorithmOID

from mmar_runner.errors import CertificateError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.pki.certificates import MALFORMED
from mmar_runner.security.pki.issuing import subject

if TYPE_CHECKING:
    from mmar_runner.security.pki.envelope import PrivateKey, PublicKey

_MAX_BYTES: Final = 64 * 1024
#: No participant has more keys than an administrator.
_MAX_BLOCKS: Final = 2
_BEGIN: Final = b"-----BEGIN CERTIFICATE REQUEST-----"
_BLOCK: Final = re.compile(_BEGIN + b".*?-----END CERTIFICATE REQUEST-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What a participant asks for. That it asks says nothing about whether it may.

    Attributes:
        identity: Who it says it is.
        tls_key: The public key that its certificate is to speak for.
        release_key: An administrator's public key for signing MMARs; None for a site.
    """

    identity: Identity
    tls_key: ec.EllipticCurvePublicKey
    release_key: ed25519.Ed25519PublicKey | None


def make_request(
    identity: Identity,
    tls_key: ec.EllipticCurvePrivateKey,
    release_key: ed25519.Ed25519PrivateKey | None = None,
) -> bytes:
    """Return a participant's request, PEM."""
    parts = [_signed(identity, tls_key)]
    if release_key is not None:
        parts.append(_signed(identity, release_key))
    return b"".join(parts)


def read_request(pem: bytes) -> KeyRequest:
    """Return what a participant asks for.

    Raises:
        CertificateError: It is no request, was altered, is for other keys than a
            participant of that role has, or names two participants (REQUEST_INVALID).
    """
    try:
        found = [_read(block) for block in _blocks(pem)]
        return _request(found)
    except (*MALFORMED, CertificateError) as error:
        raise CertificateError(
            f"this is no request for a certificate: {error}",
            hint="make one with `mmar-runner provision request`",
            reason="REQUEST_INVALID",
        ) from error


def _signed(identity: Identity, key: PrivateKey) -> bytes:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity.uri)])
    builder = x509.CertificateSigningRequestBuilder(subject(identity))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = builder.add_extension(names, critical=False).sign(key, algorithm)
    return request.public_bytes(serialization.Encoding.PEM)


def _blocks(pem: bytes) -> list[bytes]:
    if len(pem) > _MAX_BYTES:
        raise ValueError("it is too long")
    if pem.count(_BEGIN) > _MAX_BLOCKS:  # before the search, which each beginning prolongs
        raise ValueError(f"it holds more than {_MAX_BLOCKS} requests")
    blocks: list[bytes] = _BLOCK.findall(pem)
    if not blocks:
        raise ValueError("there is no CERTIFICATE REQUEST in it")
    return blocks


def _read(block: bytes) -> tuple[Identity, PublicKey]:
    request = x509.load_pem_x509_csr(block)
    key = _checked_key(request)
    if not request.is_signature_valid:
        raise ValueError("it was altered after it was made")
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise ValueError("it does not name exactly one participant")
    return Identity.from_uri(uris[0]), key


def _checked_key(request: x509.CertificateSigningRequest) -> PublicKey:
    """Return the key of a request, once key and signature are of a kind used here."""
    key = request.public_key()
    wanted = SignatureAlgorithmOID.ED25519
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        wanted = SignatureAlgorithmOID.ECDSA_WITH_SHA256
    elif not isinstance(key, ed25519.Ed25519PublicKey):
        raise CertificateError("its key is neither P-256 nor Ed25519")
    if request.signature_algorithm_oid != wanted:
        raise ValueError("it is not signed as such a key signs here (ECDSA takes SHA-256)")
    return key


def _request(found: list[tuple[Identity, PublicKey]]) -> KeyRequest:
    (identity, tls_key), *rest = found
    if any(other != identity for other, _ in rest):
        raise ValueError("it names two participants")
    if not isinstance(tls_key, ec.EllipticCurvePublicKey):
        raise CertificateError("its first key is not on the curve P-256")
    release = [key for _, key in rest if isinstance(key, ed25519.Ed25519PublicKey)]
    wanted = 1 if identity.role is Role.ADMIN else 0
    if len(rest) != wanted or len(release) != wanted:
        raise ValueError(
            f"who has the role {identity.role} sends {1 + wanted} key{'s' if wanted else ''}"
            f"{', the second Ed25519' if wanted else ''}"
        )
    return KeyRequest(identity, tls_key, release[0] if release else None)
