# SPDX-License-Identifier: Apache-2.0
"""Whether an MMAR's signatures suffice."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mmar_runner.security.listing import FileKind, FileListing
from mmar_runner.security.pki.envelope import Envelope, Signature, key_id, sign
from mmar_runner.security.policy.site_policy import SitePolicy
from mmar_runner.security.signatures.check import check_signatures
from mmar_runner.security.signatures.context import SeenVersion
from mmar_runner.security.signatures.manifest import MMAR_TYPE, dump_manifest
from tests.unit.security.signatures.signing import (
    ADA,
    BOB,
    CODE,
    CONFIG,
    DATA_ONLY,
    FRESH,
    MODEL,
    NOW,
    SITE,
    STRANGER,
    TLS,
    TRUST,
    TWO,
    WITH_CODE,
    manifest,
    reasons,
    refusal,
    release_key,
    signed,
)


def test_an_honest_signature_is_accepted_and_says_whose_it_is():
    report = check_signatures(DATA_ONLY, signed(keys=(ADA, BOB)), SITE)

    assert report.accepted
    assert report.owners == ("ada@x.org", "bob@x.org")
    assert report.manifest == manifest()
    assert [step.rule.removeprefix("signature.") for step in report.steps] == [
        *("digest", "present", "format", "signer", "revocations", "threshold"),
        *("project", "audience", "expiry", "version", "files"),
    ]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ((CONFIG,), "The one file is as it was signed, and there is no other."),
        ((CONFIG, MODEL), "All 2 files are as they were signed, and no others."),
    ],
)
def test_one_file_and_several_are_told_in_english(files, says):
    listing = FileListing("job", files)
    report = check_signatures(listing, signed(listing), SITE)

    assert report.steps[-1].message == says


def test_an_unsigned_mmar_is_refused():
    assert reasons(None) == ["SIGNATURE_MISSING"]


def test_only_a_folder_of_the_sites_own_can_be_accepted_unsigned():
    """And nobody who never signed it can sign it again."""
    delivered, own = refusal(None), refusal(None, replace(SITE, origin="local"))
    assert "policy accept" not in delivered.hint
    assert "`mmar-runner policy accept DIGEST --kit KIT`" in own.hint
    assert "again" not in delivered.hint + own.hint


@pytest.mark.parametrize("data", [b"", b"{}", b'{"a": 1, "a": 1}'], ids=["empty", "{}", "twice"])
def test_what_is_no_envelope_is_refused(data):
    assert reasons(data) == ["FORMAT"]


@pytest.mark.parametrize("kind", ["revocations", "kit"])
def test_what_was_signed_as_something_else_is_refused(kind):
    assert reasons(signed(payload_type=f"application/vnd.mmar-runner.{kind}+json")) == ["TYPE"]


def test_another_thing_under_the_type_of_an_mmar_is_refused():
    data = sign(MMAR_TYPE, b'{"version": 1, "serials": []}', [ADA]).to_json()

    assert reasons(data) == ["FORMAT"]


def test_a_key_twice_in_the_payload_is_refused():
    text = dump_manifest(manifest()).replace(b'"version":3', b'"version":3,"version":9')

    assert reasons(sign(MMAR_TYPE, text, [ADA]).to_json()) == ["FORMAT"]


@pytest.mark.parametrize("key", [STRANGER, TLS], ids=["unknown", "tls"])
def test_a_key_that_is_not_in_the_trust_root_signs_nothing(key):
    assert reasons(signed(keys=(key,))) == ["SIGNER_NOT_TRUSTED"]
    assert reasons(signed(keys=(key, ADA))) == []


def test_a_payload_that_is_not_the_signed_one_is_not_even_read():
    honest = json.loads(signed())
    other = json.loads(signed(version=99))
    report = check_signatures(
        DATA_ONLY, json.dumps({**honest, "payload": other["payload"]}).encode(), SITE
    )

    assert report.steps[-1].reason == "SIGNER_NOT_TRUSTED"
    assert report.manifest is None


def test_a_revoked_key_signs_nothing():
    revoked = replace(FRESH, key_ids=(key_id(ADA.public_key()),))
    context = replace(SITE, revocations=revoked)

    assert reasons(signed(), context) == ["SIGNER_REVOKED"]
    assert reasons(signed(keys=(ADA, BOB)), context) == []
    assert reasons(signed(WITH_CODE, (ADA, BOB)), replace(TWO, revocations=revoked), WITH_CODE) == [
        "THRESHOLD"
    ]


def test_code_needs_as_many_signatures_as_the_site_says():
    assert reasons(signed(WITH_CODE), TWO, WITH_CODE) == ["THRESHOLD"]
    assert reasons(signed(WITH_CODE, (ADA, BOB)), TWO, WITH_CODE) == []
    assert reasons(signed(), TWO) == []


def test_code_is_seen_by_the_site_and_not_believed():
    claims_none = FileListing("job", (CONFIG, replace(CODE, kind=FileKind.DATA), MODEL))

    assert not claims_none.byoc
    assert reasons(signed(claims_none), TWO, WITH_CODE) == ["THRESHOLD"]


def test_the_same_key_twice_is_one_signature():
    once = sign(MMAR_TYPE, dump_manifest(manifest(WITH_CODE)), [ADA])
    again = Signature("another", once.signatures[0].value)
    twice = Envelope(MMAR_TYPE, once.payload, (*once.signatures, again))

    assert reasons(twice.to_json(), TWO, WITH_CODE) == ["THRESHOLD"]


def test_two_keys_of_one_administrator_are_one_signature():
    second = release_key("ada@x.org", TLS)
    trust = replace(TRUST, release_keys=(*TRUST.release_keys, second))
    context = replace(TWO, trust_root=trust)

    assert reasons(signed(WITH_CODE, (ADA, TLS)), context, WITH_CODE) == ["THRESHOLD"]
    assert reasons(signed(WITH_CODE, (BOB, TLS)), context, WITH_CODE) == []


def test_a_stale_revocation_list_accepts_nothing_new():
    at_the_end = replace(SITE, revocations=replace(FRESH, expires=NOW))

    assert reasons(signed(), at_the_end) == ["REVOCATIONS_STALE"]


def test_a_revoked_digest_is_refused_whoever_accepted_it():
    revoked = replace(FRESH, digests=(DATA_ONLY.digest,))
    policy = SitePolicy(accepted_digests=(DATA_ONLY.digest,))

    for origin in ("local", "delivered"):
        context = replace(SITE, revocations=revoked, policy=policy, origin=origin)
        assert reasons(signed(), context) == ["DIGEST_REVOKED"]


def test_another_project_is_refused():
    assert reasons(signed(project="P")) == ["WRONG_PROJECT"]


def test_a_site_that_is_not_addressed_refuses():
    assert reasons(signed(audience=("site-1", "site-2"))) == []
    assert reasons(signed(audience=("site-2",))) == ["WRONG_AUDIENCE"]
    assert reasons(signed(audience=("site-2",)), replace(SITE, site=None)) == []


def test_an_expired_signature_is_refused_with_both_dates():
    step = refusal(signed(expires=NOW))

    assert step.reason == "SIGNATURE_EXPIRED"
    assert step.message.count("2026-11-24 12:00:00 UTC") == 2


def test_an_older_version_than_the_highest_seen_is_refused():
    def seen(version, name="job", project="p"):
        return replace(SITE, versions={(project, name): SeenVersion(version)})

    assert reasons(signed(), seen(4)) == ["VERSION_ROLLBACK"]
    assert reasons(signed(), seen(3)) == []
    assert reasons(signed(), seen(4, name="other")) == []
    assert reasons(signed(), seen(4, project="other")) == []


def test_of_two_mmars_of_one_version_either_may_run_and_it_is_said():
    def seen(version, digest):
        return replace(SITE, versions={("p", "job"): SeenVersion(version, digest)})

    report = check_signatures(DATA_ONLY, signed(), seen(3, WITH_CODE.digest))
    (step,) = [step for step in report.steps if step.rule == "signature.version"]
    assert step.accepted
    assert WITH_CODE.digest in step.message
    assert "--mmar-version 4" in step.message
    assert reasons(signed(), seen(3, DATA_ONLY.digest)) == []
    assert reasons(signed(), seen(4, DATA_ONLY.digest)) == ["VERSION_ROLLBACK"]


def test_a_server_delivers_it_under_the_signed_name_and_a_site_may_call_its_own_as_it_likes():
    renamed = replace(DATA_ONLY, name="other")

    assert reasons(signed(), SITE, renamed) == ["MANIFEST_MISMATCH"]
    assert reasons(signed(), replace(SITE, origin="local"), renamed) == []
