# SPDX-License-Identifier: Apache-2.0
"""Envelopes: what was signed, by whom and as what."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmar_runner.errors import SignatureError
from mmar_runner.security.pki import envelope as dsse

TYPE = "application/vnd.mmar-runner.test+json"
OTHER = "application/vnd.mmar-runner.other+json"
PAYLOAD = b'{"answer": 42}'


def ed25519_key():
    return ed25519.Ed25519PrivateKey.generate()


def p256_key():
    return ec.generate_private_key(ec.SECP256R1())


KINDS = pytest.mark.parametrize("make", [ed25519_key, p256_key], ids=["ed25519", "p256"])


def refusal(call, *arguments, **named):
    with pytest.raises(SignatureError) as caught:
        call(*arguments, **named)
    return caught.value


def as_json(envelope, **changes):
    value = json.loads(envelope.to_json())
    return json.dumps({**value, **changes}).encode()


@KINDS
def test_a_signature_is_found_again_after_writing_and_reading(make):
    key = make()
    data = dsse.sign(TYPE, PAYLOAD, [key]).to_json()

    envelope = dsse.read_envelope(data)

    assert envelope.payload == PAYLOAD
    assert dsse.verify(envelope, TYPE, [key.public_key()]) == {dsse.key_id(key.public_key())}


def test_the_signed_bytes_are_those_of_the_published_example():
    signed = dsse.pre_authentication("http://example.com/HelloWorld", b"hello world")

    assert signed == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@KINDS
def test_another_key_has_not_signed(make):
    envelope = dsse.sign(TYPE, PAYLOAD, [make()])

    assert dsse.verify(envelope, TYPE, [make().public_key()]) == set()


@KINDS
def test_the_same_signature_twice_is_one_key(make):
    key = make()
    once = dsse.sign(TYPE, PAYLOAD, [key])
    twice = dsse.Envelope(
        TYPE, PAYLOAD, (*once.signatures, dsse.Signature("other", once.signatures[0].value))
    )

    assert len(dsse.verify(twice, TYPE, [key.public_key()] * 2)) == 1


def test_who_signs_again_replaces_the_own_signature():
    first, second = ed25519_key(), p256_key()
    envelope = dsse.sign(TYPE, PAYLOAD, [first, second])

    again = dsse.countersign(envelope, first)

    assert len(again.signatures) == 2
    assert len(dsse.verify(again, TYPE, [first.public_key(), second.public_key()])) == 2


def test_a_key_id_says_which_key_to_try_and_nothing_else():
    key, other = ed25519_key(), ed25519_key()
    value = dsse.sign(TYPE, PAYLOAD, [key]).signatures[0].value
    claimed = dsse.key_id(other.public_key())
    envelope = dsse.Envelope(TYPE, PAYLOAD, (dsse.Signature(claimed, value),))

    assert dsse.verify(envelope, TYPE, [key.public_key(), other.public_key()]) == set()


def test_a_key_id_is_the_digest_of_the_public_key():
    key = p256_key().public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    assert dsse.key_id(dsse.load_public_key(pem)) == dsse.key_id(key)


def test_what_was_signed_as_one_thing_is_refused_as_another():
    key = ed25519_key()
    envelope = dsse.sign(OTHER, PAYLOAD, [key])

    assert refusal(dsse.verify, envelope, TYPE, [key.public_key()]).reason == "TYPE"
    renamed = dsse.Envelope(TYPE, PAYLOAD, envelope.signatures)
    assert dsse.verify(renamed, TYPE, [key.public_key()]) == set()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe{}",
        b'{"payloadType": "a", "payloadType": "a", "payload": "", "signatures": []}',
        b'{"payloadType": "a", "payload": "", "signatures": []}',
        b'{"payloadType": "a", "payload": "", "signatures": [{"keyid": "a"}]}',
        b'{"payloadType": "\\ud800", "payload": "", "signatures": [{"keyid": "", "sig": ""}]}',
        b'{"payloadType": "a", "payload": "QR==", "signatures": [{"keyid": "", "sig": ""}]}',
        b'{"payloadType": "a", "payload": "Q Q==", "signatures": [{"keyid": "", "sig": ""}]}',
        b'{"payloadType": "a", "payload": NaN, "signatures": [{"keyid": "", "sig": ""}]}',
        b"[" * 60,
        b'{"payloadType": [%s]}' % (b"[]," * 100_000),
        b" " * (dsse.MAX_ENVELOPE_BYTES + 1),
    ],
    ids=[
        *("empty", "list", "cut", "utf16", "key_twice", "unsigned", "no_sig", "surrogate"),
        *("base64_spelling", "base64_space", "nan", "deep", "wide", "large"),
    ],
)
def test_what_is_no_envelope_is_refused(data):
    assert refusal(dsse.read_envelope, data).reason == "FORMAT"


@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ("{}", ","), ("[{", "}]")])
def test_an_envelope_of_many_parts_is_not_parsed(opened, closed):
    error = refusal(dsse.read_envelope, (opened * 65 + closed).encode())
    assert "it holds too many parts" in error.message


def test_unknown_members_and_too_many_signatures_are_refused():
    envelope = dsse.sign(TYPE, PAYLOAD, [ed25519_key()])
    many = json.loads(envelope.to_json())["signatures"] * 17

    assert dsse.read_envelope(as_json(envelope)) == envelope
    assert refusal(dsse.read_envelope, as_json(envelope, more=1)).reason == "FORMAT"
    assert refusal(dsse.read_envelope, as_json(envelope, signatures=many)).reason == "FORMAT"


@given(data=st.binary(max_size=200) | st.text('{}[]":,payloadTsigntureskb64', max_size=200))
def test_no_bytes_at_all_do_anything_but_be_refused(data):
    data = data.encode() if isinstance(data, str) else data

    assert refusal(dsse.read_envelope, data).reason == "FORMAT"


def test_only_the_asked_key_opens_what_it_signed():
    key = p256_key()
    data = dsse.sign(TYPE, PAYLOAD, [key]).to_json()
    stranger = p256_key().public_key()

    assert dsse.open_signed(data, TYPE, key.public_key(), signer="the authority") == PAYLOAD
    error = refusal(dsse.open_signed, data, TYPE, stranger, signer="the authority")
    assert error.reason == "SIGNER_NOT_TRUSTED"
    assert "the authority" in error.message


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
        ec.generate_private_key(ec.SECP384R1()),
    ],
    ids=["rsa", "p384"],
)
def test_keys_of_other_kinds_are_refused(key):
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    with pytest.raises(ValueError, match="neither Ed25519 nor"):
        dsse.load_public_key(pem)


_KEY = ed25519_key()
_SIGNED = dsse.sign(TYPE, PAYLOAD, [_KEY])


@given(position=st.integers(0, len(PAYLOAD) - 1), change=st.integers(1, 255))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_changed_byte_of_the_payload_is_noticed(position, change):
    payload = bytearray(PAYLOAD)
    payload[position] ^= change
    text = base64.b64encode(bytes(payload)).decode()

    altered = dsse.read_envelope(as_json(_SIGNED, payload=text))

    assert dsse.verify(altered, TYPE, [_KEY.public_key()]) == set()
    assert dsse.verify(_SIGNED, TYPE, [_KEY.public_key()])
