# SPDX-License-Identifier: Apache-2.0
"""Signing an MMAR: alone, together, again, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mmar_runner.errors import SignatureError
from mmar_runner.security.listing import FileKind, FileListing, ListedFile
from mmar_runner.security.pki.envelope import MAX_ENVELOPE_BYTES, Signature, key_id
from mmar_runner.security.pki.revocation import RevocationList
from mmar_runner.security.pki.trust_root import ReleaseKey, TrustRoot
from mmar_runner.security.signatures.signing import Signer, Terms, sign_listing

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
KEYS = [ed25519.Ed25519PrivateKey.generate() for _ in range(3)]
LISTING = FileListing("job", (ListedFile("config/a.json", 2, "a" * 64, FileKind.CONFIG),))
CHANGED = FileListing("job", (ListedFile("config/a.json", 2, "b" * 64, FileKind.CONFIG),))
FRESH = RevocationList("p", 1, NOW, NOW + DAY)


def release_key(owner, key):
    public = key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return ReleaseKey(key_id(public), pem, owner, "org")


TRUST = TrustRoot(
    "p", "0" * 64, (release_key("ada@x.org", KEYS[0]), release_key("bob@x.org", KEYS[1]))
)
ADA, BOB, STRANGER = (Signer(key, TRUST, FRESH) for key in KEYS)


def signed(signer, present=None, *, listing=LISTING, now=NOW, **terms):
    data = None if present is None else present.envelope.to_json()
    return sign_listing(listing, data, signer, Terms(**terms), now=now)


def refusal(signer, data=None, listing=LISTING, **terms):
    with pytest.raises(SignatureError) as caught:
        sign_listing(listing, data, signer, Terms(**terms), now=NOW)
    assert caught.value.hint
    return caught.value.reason


def test_the_first_signature_is_version_1_for_a_year_and_every_site():
    first = signed(ADA)

    assert (first.manifest.version, first.manifest.audience) == (1, ("*",))
    assert first.manifest.expires == NOW + timedelta(days=365)
    assert first.signers == ("ada@x.org",)
    assert not first.added


def test_terms_are_kept():
    first = signed(ADA, version=7, days=2, audience=("site-1",))

    assert (first.manifest.version, first.manifest.audience) == (7, ("site-1",))
    assert first.manifest.expires == NOW + 2 * DAY


def test_another_administrator_adds_a_signature_to_the_same_manifest():
    first = signed(ADA, version=4)
    both = signed(BOB, first)

    assert both.added
    assert both.manifest == first.manifest
    assert both.signers == ("ada@x.org", "bob@x.org")
    assert both.dropped == ()


def test_whose_signatures_a_next_version_loses_is_said():
    both = signed(BOB, signed(ADA, version=4))

    assert signed(ADA, both).dropped == ("bob@x.org",)


def test_what_no_known_key_made_is_left_out_of_a_common_envelope():
    first = signed(ADA)
    good = first.envelope.signatures[0]
    full = (*(Signature("x" * 64, bytes([n]) * 64) for n in range(15)), good)
    crowded = replace(first, envelope=replace(first.envelope, signatures=full))

    both = signed(BOB, crowded)

    assert both.signers == ("ada@x.org", "bob@x.org")
    assert both.envelope.signatures[0] == good
    assert len(both.envelope.signatures) == 2


@pytest.mark.parametrize(
    ("signer", "more"),
    [
        (BOB, {"listing": CHANGED}),
        (BOB, {"now": NOW + timedelta(days=366)}),
        (BOB, {"days": 3}),
        (BOB, {"audience": ("site-1",)}),
        (ADA, {}),
    ],
    ids=["files_changed", "expired", "other_days", "other_audience", "same_administrator"],
)
def test_whatever_does_not_say_the_same_is_the_next_version(signer, more):
    again = signed(signer, signed(ADA, version=4), **more)

    assert again.manifest.version == 5
    assert not again.added
    assert len(again.signers) == 1


def test_the_version_of_a_signature_that_nobody_known_made_is_not_believed():
    strangers = TrustRoot("p", "0" * 64, (release_key("eve@x.org", KEYS[2]),))
    eve = signed(replace(STRANGER, trust_root=strangers), version=2**53 - 1)
    data = eve.envelope.to_json()

    assert refusal(ADA, data) == "SIGNER_NOT_TRUSTED"
    assert refusal(ADA, b"{}") == "SIGNER_NOT_TRUSTED"
    assert signed(ADA, eve, version=2).manifest.version == 2
    assert signed(ADA, eve, version=2).signers == ("ada@x.org",)


def test_a_revoked_signature_does_not_count_among_the_signers():
    revoked = replace(FRESH, key_ids=(ADA.id,))

    assert refusal(replace(ADA, revocations=revoked)) == "SIGNER_REVOKED"
    first = signed(ADA)
    data = first.envelope.to_json()
    assert refusal(replace(BOB, revocations=revoked), data) == "SIGNER_NOT_TRUSTED"


def test_a_key_that_no_site_knows_signs_nothing():
    assert refusal(STRANGER) == "SIGNER_NOT_TRUSTED"


def test_what_cannot_be_listed_cannot_be_signed():
    assert refusal(ADA, listing=replace(LISTING, unlisted=("x: a pipe",))) == "MANIFEST_MISMATCH"


def test_a_list_that_no_site_would_read_is_not_signed():
    def listing(length):
        paths = (f"{index:05d}{'x' * length}.txt" for index in range(10_000))
        return FileListing("job", tuple(ListedFile(p, 1, "a" * 64, FileKind.DATA) for p in paths))

    assert refusal(ADA, listing=listing(1000)) == "FORMAT"
    good = signed(ADA, listing=listing(100))
    assert len(good.envelope.to_json()) < MAX_ENVELOPE_BYTES
    assert signed(BOB, good, listing=listing(100)).added
