# SPDX-License-Identifier: Apache-2.0
"""Certificates: what is issued, what is read of them, and which do not hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from mmar_runner.errors import CertificateError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.pki.certificates import (
    certificate_key,
    check_issuer,
    check_period,
    load_certificate,
    read_peer_certificate,
)
from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.issuing import CLOCK_MARGIN, Issuer, issue, make_root, subject
from mmar_runner.security.pki.keys import new_tls_key

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOSTS = ("localhost", "fl.example.org", "10.1.2.3")


@pytest.fixture(scope="module")
def issuer():
    key = new_tls_key()
    return Issuer(key, make_root(key, "lungs", NOW, 10 * DAY))


def issued(issuer, role=Role.CLIENT, name="site-1", *, key=None, period=None, hosts=HOSTS):
    own = (key or new_tls_key()).public_key()
    identity = Identity("lungs", role, name)
    return issue(issuer, identity, own, period or (NOW - CLOCK_MARGIN, NOW + DAY), hosts)


def reason(call, *arguments):
    with pytest.raises(CertificateError) as caught:
        call(*arguments)
    return caught.value.reason


def extension(pem, kind):
    return load_certificate(pem).extensions.get_extension_for_class(kind)


def test_the_root_is_an_authority_of_participants_alone(issuer):
    constraints = extension(issuer.certificate, x509.BasicConstraints)
    usage = extension(issuer.certificate, x509.KeyUsage)

    assert constraints.critical
    assert usage.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    assert (usage.value.key_cert_sign, usage.value.crl_sign) == (True, True)
    assert not usage.value.digital_signature


@pytest.mark.parametrize(
    ("role", "name"),
    [
        (Role.SERVER, "localhost"),
        (Role.CLIENT, "site-1"),
        (Role.ADMIN, "lead@example.org"),
        (Role.ADMIN, "very." * 30 + "long@example.org"),
    ],
)
def test_a_certificate_says_who_it_is_and_nothing_else(issuer, role, name):
    pem = issued(issuer, role, name)
    told = read_peer_certificate(pem)

    assert told.identity == Identity("lungs", role, name)
    assert (told.not_before, told.not_after) == (NOW - CLOCK_MARGIN, NOW + DAY)
    assert told.serial == f"{load_certificate(pem).serial_number:x}"
    assert told.fingerprint == load_certificate(pem).fingerprint(hashes.SHA256()).hex()
    assert not extension(pem, x509.BasicConstraints).value.ca
    check_issuer(pem, issuer.certificate, NOW)
    check_period(told, NOW)


@pytest.mark.parametrize("role", Role)
def test_only_who_answers_can_speak_for_a_server_and_has_host_names(issuer, role):
    """They call too: a combiner has a parent, and a server asks how it is itself."""
    pem = issued(issuer, role)
    names = extension(pem, x509.SubjectAlternativeName).value
    server = role in {Role.SERVER, Role.COMBINER}
    usages = [ExtendedKeyUsageOID.SERVER_AUTH] if server else []
    usages += [ExtendedKeyUsageOID.CLIENT_AUTH]
    dns = ["localhost", "fl.example.org"] if server else []
    addresses = ["10.1.2.3", "127.0.0.1", "::1"] if server else []

    assert list(extension(pem, x509.ExtendedKeyUsage).value) == usages
    assert names.get_values_for_type(x509.DNSName) == dns
    assert names.get_values_for_type(x509.IPAddress) == [ip_address(a) for a in addresses]


def test_only_localhost_brings_local_addresses(issuer):
    names = extension(
        issued(issuer, Role.SERVER, hosts=("fl.example.org",)), x509.SubjectAlternativeName
    ).value

    assert names.get_values_for_type(x509.IPAddress) == []


def test_no_certificate_outlives_the_root(issuer):
    pem = issued(issuer, period=(NOW, NOW + 400 * DAY))

    assert read_peer_certificate(pem).not_after == NOW + 10 * DAY


def test_two_certificates_never_share_a_serial_number(issuer):
    key = new_tls_key()
    serials = {read_peer_certificate(issued(issuer, key=key)).serial for _ in range(5)}

    assert len(serials) == 5


@pytest.mark.parametrize(
    ("now", "expected", "words"),
    [
        (NOW + DAY, "CERT_EXPIRED", "expired on 2026-11-25 12:00:00 UTC"),
        (NOW + 2 * DAY, "CERT_EXPIRED", "clock here says 2026-11-26"),
        (NOW - 2 * CLOCK_MARGIN, "CERT_NOT_YET_VALID", "holds from 2026-11-24 11:55:00 UTC"),
    ],
)
def test_outside_its_time_a_certificate_is_refused_with_dates(issuer, now, expected, words):
    certificate = read_peer_certificate(issued(issuer))

    with pytest.raises(CertificateError, match=words) as caught:
        check_period(certificate, now)
    assert caught.value.reason == expected
    assert "clock" in caught.value.hint


def test_a_clock_that_is_a_little_behind_is_no_trouble(issuer):
    check_period(read_peer_certificate(issued(issuer)), NOW - CLOCK_MARGIN)


def test_another_authority_of_the_same_name_is_refused(issuer):
    key = new_tls_key()
    other = Issuer(key, make_root(key, "lungs", NOW, DAY))

    assert reason(check_issuer, issued(other), issuer.certificate, NOW) == "CERT_AUTHORITY"


def test_a_participant_is_no_authority(issuer):
    key = new_tls_key()
    pem = issued(issuer, key=key)

    assert reason(check_issuer, issued(Issuer(key, pem)), pem, NOW) == "CERT_AUTHORITY"


def test_a_root_outside_its_time_is_refused(issuer):
    pem = issued(issuer)

    assert reason(check_issuer, pem, issuer.certificate, NOW + 11 * DAY) == "CERT_EXPIRED"
    assert reason(check_issuer, pem, issuer.certificate, NOW - DAY) == "CERT_NOT_YET_VALID"


def with_uris(issuer, *uris):
    identity = Identity("lungs", Role.CLIENT, "site-1")
    names = [x509.UniformResourceIdentifier(uri) for uri in uris] + [x509.DNSName("site-1")]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject(identity))
        .issuer_name(load_certificate(issuer.certificate).subject)
        .public_key(new_tls_key().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    pem = builder.sign(issuer.key, hashes.SHA256())
    return pem.public_bytes(serialization.Encoding.PEM)


SITE = "spiffe://lungs/client/site-1"


@pytest.mark.parametrize(
    "uris",
    [
        (),
        (SITE, "spiffe://lungs/client/site-2"),
        (SITE, SITE),
        ("https://lungs/client/site-1",),
        ("spiffe://lungs/king/site-1",),
        ("spiffe://lungs/client/site-1/more",),
        ("spiffe://lungs/client/",),
        ("spiffe:///client/site-1",),
        ("spiffe://lungs/client/site-1?x=1",),
        ("spiffe://lungs/client/%73ite-1",),
    ],
    ids=range(10),
)
def test_a_certificate_that_does_not_name_one_participant_is_refused(issuer, uris):
    assert read_peer_certificate(with_uris(issuer, SITE)).identity.name == "site-1"
    assert reason(read_peer_certificate, with_uris(issuer, *uris)) == "CERT_INVALID"


@pytest.mark.parametrize("pem", [b"", b"x", b"-" * 100_000], ids=["empty", "text", "long"])
def test_what_is_no_certificate_is_refused(pem):
    assert reason(read_peer_certificate, pem) == "CERT_INVALID"


def test_the_root_is_no_participant(issuer):
    assert reason(read_peer_certificate, issuer.certificate) == "CERT_INVALID"


def test_a_certificate_speaks_for_its_key(issuer):
    key = new_tls_key()

    assert key_id(certificate_key(issued(issuer, key=key))) == key_id(key.public_key())


def self_signed(key):
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, NOW, NOW + DAY)
    signed_by = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, signed_by).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("key", "used"),
    [
        (new_tls_key(), True),
        (ed25519.Ed25519PrivateKey.generate(), True),
        (ec.generate_private_key(ec.SECP384R1()), False),
        (rsa.generate_private_key(65537, 2048), False),
    ],
    ids=["P-256", "Ed25519", "P-384", "RSA"],
)
def test_keys_of_two_kinds_are_used(key, used):
    if used:
        assert key_id(certificate_key(self_signed(key))) == key_id(key.public_key())
    else:
        assert reason(certificate_key, self_signed(key)) == "CERT_INVALID"


def test_a_certificate_signs_and_the_root_issues_and_neither_does_more(issuer):
    bits = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        False,
    )
    bits |= dict.fromkeys(("key_agreement", "key_cert_sign", "crl_sign"), False)
    for pem, may in (
        (issued(issuer), {"digital_signature": True}),
        (issuer.certificate, {"key_cert_sign": True, "crl_sign": True}),
    ):
        usage = extension(pem, x509.KeyUsage)
        assert {bit: getattr(usage.value, bit) for bit in bits} == {**bits, **may}
        assert usage.critical
        assert extension(pem, x509.BasicConstraints).critical
    assert not extension(issued(issuer), x509.ExtendedKeyUsage).critical
