# SPDX-License-Identifier: Apache-2.0
"""Requests for certificates: who asks shows that it holds the keys."""

from __future__ import annotations

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mmar_runner.errors import CertificateError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.pki import requests
from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.issuing import subject
from mmar_runner.security.pki.keys import new_release_key, new_tls_key
from mmar_runner.security.pki.requests import make_request, read_request

SITE = Identity("lungs", Role.CLIENT, "site-1")
LEAD = Identity("lungs", Role.ADMIN, "lead@example.org")


def refused(pem):
    with pytest.raises(CertificateError) as caught:
        read_request(pem)
    assert caught.value.reason == "REQUEST_INVALID"
    assert "provision request" in caught.value.hint
    return caught.value.message


def test_a_site_asks_for_one_key_and_an_administrator_for_two():
    tls, release = new_tls_key(), new_release_key()
    site, lead = (
        read_request(make_request(SITE, tls)),
        read_request(make_request(LEAD, tls, release)),
    )

    assert (site.identity, lead.identity) == (SITE, LEAD)
    assert key_id(site.tls_key) == key_id(lead.tls_key) == key_id(tls.public_key())
    assert site.release_key is None
    assert key_id(lead.release_key) == key_id(release.public_key())


def test_a_request_holds_no_private_key():
    assert b"PRIVATE" not in make_request(LEAD, new_tls_key(), new_release_key())


def test_text_around_a_request_does_no_harm():
    pem = make_request(SITE, new_tls_key())

    assert read_request(b"Dear authority,\n" + pem + b"\nYours\n").identity == SITE


def test_an_altered_request_is_refused():
    pem = make_request(SITE, new_tls_key())
    lines = pem.split(b"\n")
    der = base64.b64decode(b"".join(lines[1:-2])).replace(b"site-1", b"site-2")
    body = base64.encodebytes(der)

    assert "altered" in refused(b"\n".join([lines[0], body.strip(), lines[-2], b""]))


@pytest.mark.parametrize("pem", [b"", b"hello", b"x" * 100_000], ids=["empty", "text", "long"])
def test_what_is_no_request_is_refused(pem):
    refused(pem)


def test_the_number_of_keys_must_fit_the_role():
    site, lead = make_request(SITE, new_tls_key()), make_request(LEAD, new_tls_key())

    assert refused(site + site).endswith("who has the role client sends 1 key")
    two = "who has the role admin sends 2 keys, the second Ed25519"
    assert refused(lead).endswith(two)
    assert "sends 2 keys" in refused(lead + lead)
    assert "two participants" in refused(site + make_request(LEAD, new_tls_key()))


def asking(key, *uris):
    builder = x509.CertificateSigningRequestBuilder(subject(SITE))
    if uris:
        names = [x509.UniformResourceIdentifier(uri) for uri in uris]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_a_request_names_one_participant():
    key = new_tls_key()

    assert read_request(asking(key, SITE.uri)).identity == SITE
    refused(asking(key))
    refused(asking(key, SITE.uri, LEAD.uri))
    refused(asking(key, "https://example.org"))


def test_another_curve_is_refused():
    assert "P-256" in refused(asking(ec.generate_private_key(ec.SECP384R1()), SITE.uri))


def test_a_request_of_many_letters_is_not_read():
    request = make_request(SITE, new_tls_key())
    assert read_request(b" " * (requests._MAX_BYTES - len(request)) + request).identity == SITE
    longer = b" " * (requests._MAX_BYTES - len(request) + 1) + request
    assert "it is too long" in refused(longer)
