# SPDX-License-Identifier: Apache-2.0
"""Every rule about an MMAR's signatures, each beside an honest one that it lets pass."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mmar_runner.security.decision import Place
from mmar_runner.security.listing import FileKind, FileListing, ListedFile
from mmar_runner.security.pki.envelope import Envelope, Signature, key_id, sign
from mmar_runner.security.pki.revocation import RevocationList
from mmar_runner.security.pki.trust_root import ReleaseKey, TrustRoot
from mmar_runner.security.policy.site_policy import SitePolicy
from mmar_runner.security.signatures import check as signature_check
from mmar_runner.security.signatures import rules as signature_rules
from mmar_runner.security.signatures.check import check_signatures
from mmar_runner.security.signatures.context import SeenVersion, SignatureContext
from mmar_runner.security.signatures.manifest import MMAR_TYPE, dump_manifest, make_manifest
from mmar_runner.security.steps import accepts

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ADA, BOB = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
STRANGER, TLS = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())

CONFIG = ListedFile("config/a.json", 2, "a" * 64, FileKind.CONFIG)
MODEL = ListedFile("models/b.pt", 3, "b" * 64, FileKind.DATA)
CODE = ListedFile("custom/c.py", 4, "c" * 64, FileKind.CODE)
DATA_ONLY = FileListing("job", (CONFIG, MODEL))
WITH_CODE = FileListing("job", (CONFIG, CODE, MODEL))


def release_key(owner, key):
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return ReleaseKey(key_id(key.public_key()), pem.decode(), owner, "org")


TRUST = TrustRoot("p", "0" * 64, (release_key("ada@x.org", ADA), release_key("bob@x.org", BOB)))
FRESH = RevocationList("p", 1, NOW - DAY, NOW + DAY)
SITE = SignatureContext("site-1", TRUST, FRESH, SitePolicy(), NOW)
TWO = replace(SITE, policy=SitePolicy(signatures={"mmar": 1, "byoc": 2}))


def manifest(listing=DATA_ONLY, **more):
    options = {"project": "p", "version": 3, "created": NOW, "expires": NOW + DAY, **more}
    return make_manifest(listing, **options)


def signed(listing=DATA_ONLY, keys=(ADA,), payload_type=MMAR_TYPE, **more):
    return sign(payload_type, dump_manifest(manifest(listing, **more)), keys).to_json()


#: The rules that give each reason.
RULES = {
    "DIGEST_REVOKED": {"digest"},
    "SIGNATURE_MISSING": {"present"},
    "FORMAT": {"format"},
    "TYPE": {"format"},
    "SIGNER_REVOKED": {"signer"},
    "SIGNER_NOT_TRUSTED": {"signer"},
    "REVOCATIONS_STALE": {"revocations"},
    "THRESHOLD": {"threshold"},
    "WRONG_PROJECT": {"project"},
    "WRONG_AUDIENCE": {"audience"},
    "SIGNATURE_EXPIRED": {"expiry"},
    "VERSION_ROLLBACK": {"version"},
    "MANIFEST_MISMATCH": {"files", "name"},
}


def reasons(data, context=SITE, listing=DATA_ONLY):
    report = check_signatures(listing, data, context)
    refusals = [step for step in report.steps if not step.accepted]
    assert all(step.rule.startswith("signature.") for step in report.steps)
    for step in refusals:
        assert step.rule.removeprefix("signature.") in RULES[step.reason]
    assert all(step.hint for step in refusals), "a refusal says what would change it"
    assert report.accepted is not bool(refusals)
    return [step.reason for step in refusals]


def refusal(data, context=SITE, listing=DATA_ONLY):
    report = check_signatures(listing, data, context)
    (step,) = [step for step in report.steps if not step.accepted]
    return step


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


def test_one_revoked_key_among_those_that_are_claimed_is_told():
    trust = replace(TRUST, release_keys=TRUST.release_keys[1:])
    revoked = replace(FRESH, key_ids=(key_id(ADA.public_key()),))
    context = replace(SITE, trust_root=trust, revocations=revoked)

    for keys in ((ADA,), (ADA, STRANGER), (STRANGER, ADA)):
        assert reasons(signed(keys=keys), context) == ["SIGNER_REVOKED"]
    assert reasons(signed(keys=(STRANGER,)), context) == ["SIGNER_NOT_TRUSTED"]


def test_a_key_is_named_by_sixteen_letters():
    known, claimed = key_id(ADA.public_key()), key_id(STRANGER.public_key())
    report = check_signatures(DATA_ONLY, signed(), SITE)
    (signer,) = [step for step in report.steps if step.rule == "signature.signer"]
    assert signer.message == f"Signed by ada@x.org ({known[:16]})."
    revoked = replace(SITE, revocations=replace(FRESH, key_ids=(known,)))
    message = refusal(signed(), revoked).message
    assert message == f"Only revoked keys signed it: ada@x.org ({known[:16]})."
    message = refusal(signed(keys=(STRANGER,))).message
    assert message.endswith(f"it claims the keys '{claimed[:16]}'.")


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


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ((replace(CONFIG, sha256="0" * 64), MODEL), "Changed since it was signed: config/a.json"),
        ((CONFIG,), "Signed, and missing: models/b.pt"),
        ((CONFIG, MODEL, ListedFile("z.txt", 0, "d" * 64, FileKind.DATA)), "Not signed: z.txt"),
        (
            (replace(CONFIG, path="models/b.pt"), replace(MODEL, path="config/a.json")),
            "Changed since it was signed: config/a.json, models/b.pt",
        ),
    ],
    ids=["altered", "deleted", "added", "swapped"],
)
def test_files_other_than_the_signed_ones_are_named(files, named):
    step = refusal(signed(), listing=FileListing("job", files))

    assert step.reason == "MANIFEST_MISMATCH"
    assert named in step.message
    assert isinstance(step.subject, Place)


def test_each_kind_of_difference_has_its_own_place_and_mend():
    more = ListedFile(".DS_Store", 0, "d" * 64, FileKind.DATA)
    changed = replace(MODEL, sha256="0" * 64)
    listing = FileListing("job", (more, replace(CONFIG, path="config/A.json"), changed))

    report = check_signatures(listing, signed(), SITE)

    told = [(s.message, s.subject.file, s.hint) for s in report.steps if not s.accepted]
    assert [(message, file) for message, file, _ in told] == [
        ("Changed since it was signed: models/b.pt.", "models/b.pt"),
        ("Signed, and missing: config/a.json.", "config/a.json"),
        ("Not signed: .DS_Store, config/A.json.", ".DS_Store"),
    ]
    begun = [hint.partition(" ")[0] for _, _, hint in told]
    assert begun == ["Restore", "Put", "Remove"]


@pytest.mark.parametrize(
    ("count", "named"),
    [
        (5, "z0, z1, z2, z3, z4."),
        (6, "z0, z1, z2, z3, z4 and 1 more."),
        (8, "z0, z1, z2, z3, z4 and 3 more."),
    ],
)
def test_of_many_files_the_first_five_are_named(count, named):
    more = [ListedFile(f"z{n}", 0, "d" * 64, FileKind.DATA) for n in range(count)]
    step = refusal(signed(), listing=FileListing("job", (CONFIG, MODEL, *more)))
    assert step.message == f"Not signed: {named}"
    unsigned = FileListing("job", (CONFIG, MODEL))
    step = refusal(signed(FileListing("job", (CONFIG, MODEL, *more))), listing=unsigned)
    assert step.message == f"Signed, and missing: {named}"


def test_a_digest_that_is_not_that_of_the_signed_files_is_refused():
    other = replace(manifest(), digest="9" * 64)
    step = refusal(sign(MMAR_TYPE, dump_manifest(other), [ADA]).to_json())
    assert (step.rule, step.reason) == ("signature.files", "MANIFEST_MISMATCH")
    assert step.message == "The signed digest is not that of the signed files."
    assert step.subject == Place("signature.json")


def test_what_could_not_be_listed_fits_no_signature():
    step = refusal(signed(), listing=replace(DATA_ONLY, unlisted=("x: a link that leaves",)))

    assert step.reason == "MANIFEST_MISMATCH"
    assert "x: a link that leaves" in step.message


def test_everything_that_is_wrong_is_said_at_once():
    data = signed(project="q", audience=("site-2",), expires=NOW)

    assert reasons(data, listing=WITH_CODE) == [
        *("WRONG_PROJECT", "WRONG_AUDIENCE", "SIGNATURE_EXPIRED", "MANIFEST_MISMATCH")
    ]


@pytest.mark.parametrize("data", [None, signed(project="q")], ids=["unsigned", "badly_signed"])
def test_a_site_accepts_its_own_folder_by_digest(data):
    policy = SitePolicy(accepted_digests=(DATA_ONLY.digest,))
    local = replace(SITE, policy=policy, origin="local")

    assert reasons(data, local) == []
    assert reasons(data, replace(local, policy=SitePolicy())) != []
    assert reasons(data, replace(local, origin="delivered")) != []
    unlisted = replace(DATA_ONLY, unlisted=("x: a link that leaves",))
    assert reasons(data, local, unlisted) != []


def test_a_good_signature_is_kept_where_the_digest_is_accepted_too():
    policy = SitePolicy(accepted_digests=(DATA_ONLY.digest,))
    report = check_signatures(DATA_ONLY, signed(), replace(SITE, policy=policy, origin="local"))

    assert report.owners == ("ada@x.org",)
    assert report.manifest is not None


def _lets_pass(*_):
    return accepts("signature.replaced", "This guard was taken away.")


@pytest.mark.parametrize(
    ("module", "guard", "reason", "attack"),
    [
        (
            signature_check,
            "_digest",
            "DIGEST_REVOKED",
            (signed(), replace(SITE, revocations=replace(FRESH, digests=(DATA_ONLY.digest,)))),
        ),
        (
            signature_check,
            "_revocations",
            "REVOCATIONS_STALE",
            (signed(), replace(SITE, revocations=replace(FRESH, expires=NOW))),
        ),
        (
            signature_check,
            "_threshold",
            "THRESHOLD",
            (signed(WITH_CODE), TWO, WITH_CODE),
        ),
        (signature_rules, "_project", "WRONG_PROJECT", (signed(project="q"),)),
        (signature_rules, "audience", "WRONG_AUDIENCE", (signed(audience=("site-2",)),)),
        (signature_rules, "_expiry", "SIGNATURE_EXPIRED", (signed(expires=NOW),)),
        (
            signature_rules,
            "_version",
            "VERSION_ROLLBACK",
            (signed(), replace(SITE, versions={("p", "job"): SeenVersion(4)})),
        ),
        (signature_rules, "_files", "MANIFEST_MISMATCH", (signed(), SITE, WITH_CODE)),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isupper() else "",
)
def test_without_its_guard_each_attack_goes_through(module, guard, reason, attack, monkeypatch):
    assert reasons(*attack) == [reason]

    def each(*arguments):
        yield _lets_pass(*arguments)

    monkeypatch.setattr(module, guard, each if guard == "_files" else _lets_pass)

    assert reasons(*attack) == []


def test_without_the_list_of_revoked_keys_a_revoked_key_signs():
    context = replace(SITE, revocations=replace(FRESH, key_ids=(key_id(ADA.public_key()),)))

    assert reasons(signed(), context) == ["SIGNER_REVOKED"]
    assert reasons(signed(), SITE) == []


def test_without_verifying_anybody_signs(monkeypatch):
    everybody = frozenset(key.id for key in TRUST.release_keys)
    data = signed(keys=(STRANGER,))
    assert reasons(data) == ["SIGNER_NOT_TRUSTED"]

    monkeypatch.setattr(signature_check, "verify", lambda *_: everybody)

    assert reasons(data) == []


def test_a_server_delivers_it_under_the_signed_name_and_a_site_may_call_its_own_as_it_likes():
    renamed = replace(DATA_ONLY, name="other")

    assert reasons(signed(), SITE, renamed) == ["MANIFEST_MISMATCH"]
    assert reasons(signed(), replace(SITE, origin="local"), renamed) == []
