# SPDX-License-Identifier: Apache-2.0
"""Making certificates: the root's and the participants'.

Everything is ECDSA P-256 with SHA-256. A participant's certificate holds its identity
as one URI, and can speak for a server or for a client of TLS; only a combiner's for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mmar_runner.security.identity import Identity, Role

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )

#: How far another clock may be behind the one of who issues.
CLOCK_MARGIN: Final = timedelta(minutes=5)
_COMMON_NAME: Final = 64  # the most characters that X.520 allows
_LOCAL_ADDRESSES: Final = ("127.0.0.1", "::1")


_BOTH: Final = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
#: What a certificate is for; that of whoever is not named, for calling alone. A server calls
#: one thing: whether it works itself, as whoever looks after its machine must be able to.
_USAGES: Final = {Role.SERVER: _BOTH, Role.COMBINER: _BOTH}


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who issues.

    Attributes:
        key: The root's private key.
        certificate: The root's certificate, PEM.
    """

    key: EllipticCurvePrivateKey
    certificate: bytes


def make_root(key: EllipticCurvePrivateKey, project: str, now: datetime, life: timedelta) -> bytes:
    """Return the self-signed certificate of a project's authority, PEM.

    Args:
        key: Its private key.
        project: The project's name.
        now: The present time, with a time zone.
        life: For how long it holds.
    """
    name = _named(project, f"{project} root")
    builder = (
        _begun(name, name, key.public_key(), (now - CLOCK_MARGIN, now + life))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
    )
    return _pem(builder.sign(key, hashes.SHA256()))


def issue(
    issuer: Issuer,
    identity: Identity,
    public_key: EllipticCurvePublicKey,
    period: tuple[datetime, datetime],
    hosts: Iterable[str] = (),
) -> bytes:
    """Return a participant's certificate, PEM.

    Args:
        issuer: Who signs it.
        identity: Whose it is.
        public_key: The participant's key.
        period: From when until when it holds; it never outlives the root.
        hosts: Host names and addresses; of a server or combiner only.
    """
    root = x509.load_pem_x509_certificate(issuer.certificate)
    end = min(period[1], root.not_valid_after_utc)
    usages = _USAGES.get(identity.role, (ExtendedKeyUsageOID.CLIENT_AUTH,))
    if ExtendedKeyUsageOID.SERVER_AUTH not in usages:
        hosts = ()
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity.uri)]
    names += [_general_name(host) for host in with_local_addresses(hosts)]
    authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = (
        _begun(subject(identity), root.subject, public_key, (period[0], end))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(authority_id, critical=False)
    )
    return _pem(builder.sign(issuer.key, hashes.SHA256()))


def with_local_addresses(hosts: Iterable[str]) -> tuple[str, ...]:
    """Return host names without repetition; ``localhost`` brings its addresses along."""
    given = tuple(hosts)
    local = _LOCAL_ADDRESSES if "localhost" in given else ()
    return tuple(dict.fromkeys((*given, *local)))


def subject(identity: Identity) -> x509.Name:
    """Return how a participant's certificate names it to people."""
    return _named(identity.project, identity.name)


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: EllipticCurvePublicKey,
    period: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(period[0])
        .not_valid_after(period[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(project: str, name: str) -> x509.Name:
    # Only for people: programs read the URI, which has no such bound.
    parts = ((NameOID.ORGANIZATION_NAME, project), (NameOID.COMMON_NAME, name))
    return x509.Name([x509.NameAttribute(oid, text[:_COMMON_NAME]) for oid, text in parts])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
