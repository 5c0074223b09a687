# SPDX-License-Identifier: Apache-2.0
"""Certificates and requests that nobody honest made: refused in our words, and cheaply."""

from __future__ import annotations

import base64
import re
import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmar_runner.errors import CertificateError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.pki.certificates import (
    certificate_fingerprint,
    certificate_key,
    check_issuer,
    read_peer_certificate,
)
from mmar_runner.security.pki.issuing import CLOCK_MARGIN, Issuer, issue, make_root, subject
from mmar_runner.security.pki.keys import new_release_key, new_tls_key
from mmar_runner.security.pki.requests import make_request, read_request

#: The library also warns of what is refused here.
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SITE = Identity("lungs", Role.CLIENT, "site-1")
LEAD = Identity("lungs", Role.ADMIN, "lead@example.org")
KEY = new_tls_key()
ROOT = make_root(KEY, "lungs", NOW, 10 * DAY)
PERIOD = (NOW - CLOCK_MARGIN, NOW + DAY)
LEAF = issue(Issuer(KEY, ROOT), SITE, new_tls_key().public_key(), PERIOD)
REQUEST = make_request(LEAD, new_tls_key(), new_release_key())
READERS = {
    "peer": read_peer_certificate,
    "key": certificate_key,
    "fingerprint": certificate_fingerprint,
    "leaf": lambda pem: check_issuer(pem, ROOT, NOW),
    "root": lambda pem: check_issuer(LEAF, pem, NOW),
}
P256 = bytes.fromhex("2a8648ce3d030107")


def der(pem):
    return ssl.PEM_cert_to_DER_cert(pem.decode())


def pem_of(data, kind="CERTIFICATE"):
    body = base64.encodebytes(data).decode()
    return f"-----BEGIN {kind}-----\n{body}-----END {kind}-----\n".encode()


def exchanged(old, new, data=None):
    data = der(LEAF) if data is None else data
    assert old in data
    return data.replace(old, new, 1)


def point_off_the_curve(data):
    at = data.index(P256) + len(P256) + 4
    return data[:at] + bytes(64) + data[at + 64 :]


#: A sound certificate, with one part that cryptography has an exception of its own for.
HOSTILE = {
    "version": exchanged(bytes.fromhex("a003020102"), bytes.fromhex("a003020105")),
    "extension twice": exchanged(bytes.fromhex("0603551d0f"), bytes.fromhex("0603551d13")),
    "name of an unknown kind": exchanged(b"\x86\x1cspiffe", b"\xa3\x1cspiffe"),
    "name that is no text": exchanged(b"\x86\x1cspiffe", b"\x86\x1c\xff\xffiffe"),
    "subject that is no text": der(LEAF).replace(b"\x0c\x06site-1", b"\x0c\x06\xff\xff\xff\xff-1"),
    "unknown curve": exchanged(P256, bytes.fromhex("2a8648ce3d030109")),
    "point off the curve": point_off_the_curve(der(LEAF)),
    "no month of a year": exchanged(b"261125", b"269925"),
    "cut": der(LEAF)[:-10],
    "more behind": der(LEAF) + b"more",
}


def refusal(reader, pem):
    with pytest.raises(CertificateError) as caught:
        reader(pem)
    assert caught.value.message
    return caught.value


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("reader", ["peer", "leaf", "root"])
def test_a_hostile_certificate_is_refused_in_our_words(case, reader):
    error = refusal(READERS[reader], pem_of(HOSTILE[case]))

    assert error.reason in {"CERT_INVALID", "CERT_AUTHORITY"}
    if error.reason == "CERT_INVALID":
        assert "provision" in error.hint


def self_made(key, algorithm, public_key, *, ca=False):
    san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(SITE.uri)])
    builder = (
        x509.CertificateBuilder(
            x509.load_pem_x509_certificate(ROOT).subject, subject(SITE), public_key
        )
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + DAY)
        .add_extension(san, critical=False)
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
    )
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)


RSA = rsa.generate_private_key(65537, 2048)
P384 = ec.generate_private_key(ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.generate()
TLS = new_tls_key().public_key()
FOREIGN = {
    "rsa": (RSA, hashes.SHA256()),
    "p384": (P384, hashes.SHA384()),
    "ed25519": (ED, None),
    "sha384": (KEY, hashes.SHA384()),
    "sha512": (KEY, hashes.SHA512()),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_another_kind_of_signature_is_refused_before_it_is_calculated(case):
    key, algorithm = FOREIGN[case]
    pem = self_made(key, algorithm, TLS)
    root = self_made(key, algorithm, key.public_key(), ca=True)
    sound = self_made(KEY, hashes.SHA256(), TLS)
    assert read_peer_certificate(sound).identity == SITE
    check_issuer(sound, ROOT, NOW)

    assert refusal(read_peer_certificate, pem).reason == "CERT_INVALID"
    error = refusal(READERS["leaf"], pem)
    assert error.reason == "CERT_AUTHORITY"
    assert "is not signed with ECDSA and SHA-256" in str(error.__cause__)
    if key is not KEY:
        error = refusal(lambda p: check_issuer(pem, p, NOW), root)
        assert (error.reason, "no authority" in error.message) == ("CERT_AUTHORITY", True)


@pytest.mark.parametrize("key", [RSA, P384, ED], ids=["rsa", "p384", "ed25519"])
def test_a_certificate_for_another_kind_of_key_names_nobody(key):
    pem = self_made(KEY, hashes.SHA256(), key.public_key())

    assert refusal(read_peer_certificate, pem).reason == "CERT_INVALID"


def test_so_many_certificates_are_none():
    assert read_peer_certificate(LEAF * 2) == read_peer_certificate(LEAF)
    for pem in (LEAF * 9, b"-----BEGIN X-----\n" * 9 + LEAF):
        assert "too long" in refusal(read_peer_certificate, pem).message


# -- requests -------------------------------------------------------------------------------


def asking(key, algorithm):
    san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(SITE.uri)])
    builder = x509.CertificateSigningRequestBuilder(subject(SITE)).add_extension(san, False)
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("case", FOREIGN)
def test_a_request_of_another_kind_is_refused(case):
    assert read_request(asking(KEY, hashes.SHA256())).identity == SITE
    error = refusal(read_request, asking(*FOREIGN[case]))

    assert error.reason == "REQUEST_INVALID"
    assert "provision request" in error.hint


def test_the_kind_of_a_key_is_looked_at_before_its_signature():
    data = bytearray(base64.b64decode(b"".join(asking(RSA, hashes.SHA256()).split(b"\n")[1:-2])))
    data[-1] ^= 1

    message = refusal(read_request, pem_of(bytes(data), "CERTIFICATE REQUEST")).message
    assert "P-256" in message
    assert "altered" not in message


def test_so_many_requests_are_refused_at_once():
    error = refusal(read_request, make_request(SITE, new_tls_key()) * 3)
    assert "more than 2 requests" in error.message

    begin = time.perf_counter()
    refusal(read_request, b"-----BEGIN CERTIFICATE REQUEST-----" * 1800)
    assert time.perf_counter() - begin < 0.1


# -- mutations ------------------------------------------------------------------------------


def mutated(data, changes):
    changed = bytearray(data)
    for at, byte in changes:
        changed[at % len(changed)] = byte
    return bytes(changed)


CHANGES = st.lists(st.tuples(st.integers(0, 1023), st.integers(0, 255)), min_size=1, max_size=3)
quick = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.parametrize("reader", READERS)
@quick
@given(changes=CHANGES)
def test_a_certificate_with_other_bytes_is_read_or_refused(reader, changes):
    try:
        READERS[reader](pem_of(mutated(der(LEAF), changes)))
    except CertificateError as error:
        assert error.message  # noqa: PT017 - that it is refused is no must, that it is ours is


@quick
@given(changes=CHANGES)
def test_a_root_with_other_bytes_issues_nothing_or_what_it_did(changes):
    try:
        check_issuer(LEAF, pem_of(mutated(der(ROOT), changes)), NOW)
    except CertificateError as error:
        assert error.message  # noqa: PT017


@quick
@given(changes=CHANGES, second=st.booleans())
def test_a_request_with_other_bytes_is_refused_or_says_the_same(changes, second):
    blocks = [base64.b64decode(b) for b in re.findall(rb"-----\n([^-]+)-----END", REQUEST)]
    blocks[second] = mutated(blocks[second], changes)
    pem = b"".join(pem_of(block, "CERTIFICATE REQUEST") for block in blocks)
    try:
        assert read_request(pem).identity == LEAD
    except CertificateError as error:
        assert error.reason == "REQUEST_INVALID"  # noqa: PT017
