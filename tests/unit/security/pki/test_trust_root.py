# SPDX-License-Identifier: Apache-2.0
"""``trust.json``: whom a participant trusts."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mmar_runner.errors import KitError
from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.trust_root import ReleaseKey, TrustRoot, dump, load


def release_key(owner, org="Org", key=None):
    public = (key or ed25519.Ed25519PrivateKey.generate()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return ReleaseKey(key_id(public), pem, owner, org)


@pytest.fixture
def trust_root():
    p256 = ec.generate_private_key(ec.SECP256R1())
    keys = (release_key("a@example.com"), release_key("b@example.com", "Örg", p256))
    return TrustRoot("a project", "0" * 64, keys)


def changed(trust_root, change):
    value = json.loads(dump(trust_root))
    change(value)
    return json.dumps(value).encode()


def refusal(data):
    with pytest.raises(KitError) as caught:
        load(data, "kit/trust.json")
    assert caught.value.reason == "TRUST_ROOT"
    assert caught.value.message.startswith("kit/trust.json ")
    return caught.value.message


def test_what_was_written_is_read_again(trust_root):
    assert load(dump(trust_root)) == trust_root
    text = dump(trust_root).decode()
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    assert "Örg" in text
    assert [key_id(k.load()) for k in trust_root.release_keys] == [
        k.id for k in trust_root.release_keys
    ]


def test_equal_values_give_equal_bytes_whatever_their_order(trust_root):
    turned = TrustRoot("a project", "0" * 64, trust_root.release_keys[::-1])

    assert dump(turned) == dump(trust_root)


def test_it_knows_whose_a_key_is(trust_root):
    key = trust_root.release_keys[1]

    assert trust_root.owner_of(key.id) == "b@example.com"
    assert trust_root.owner_of("f" * 64) is None


def test_a_key_that_is_not_what_its_id_says_is_refused(trust_root):
    def swap(value):
        first, second = value["release_keys"]
        first["id"], second["id"] = second["id"], first["id"]

    assert "/release_keys/0/id" in refusal(changed(trust_root, swap))


def test_a_key_of_two_owners_is_refused(trust_root):
    def double(value):
        value["release_keys"].append({**value["release_keys"][0], "owner": "c@example.com"})

    assert "second time" in refusal(changed(trust_root, double))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda v: v.update(version=2), "/version"),
        (lambda v: v.update(more=1), "more"),
        (lambda v: v.pop("project"), "project"),
        (lambda v: v["release_keys"][0].update(public_key="nothing"), "/release_keys/0/public_key"),
        (lambda v: v["release_keys"][0].pop("owner"), "owner"),
    ],
    ids=["version", "unknown_member", "no_project", "no_key", "no_owner"],
)
def test_what_does_not_fit_is_refused_with_its_place(trust_root, change, word):
    assert word in refusal(changed(trust_root, change))


def test_a_key_twice_in_the_text_is_refused(trust_root):
    text = dump(trust_root).replace(b'"version": 1,', b'"version": 1, "version": 1,')

    assert "twice" in refusal(text)
